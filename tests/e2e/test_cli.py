"""The command line as a program, on the zoo's real models."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(server: Any) -> Run:
    def command(*args: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pellucid.cli", *map(str, args)],
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
            env=os.environ | {"PELLUCID_SERVER": server.target},
        )

    return command


def lines(ended: "subprocess.CompletedProcess[str]") -> list[Any]:
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_server_is_serving(run: Run) -> None:
    assert run("health").stdout == "serving\n"


def test_every_model_of_the_zoo_is_listed_as_ready(run: Run) -> None:
    models = json.loads(run("models", "--json").stdout)
    assert {"efficientnet-lite0", "nanodet"} <= {model["name"] for model in models}
    assert all(version["state"] == "ready" for model in models for version in model["versions"])


def test_samples_are_classified(run: Run) -> None:
    found = lines(run("predict", SAMPLES, "-m", "efficientnet-lite0", "--top-k", "1", "--json"))
    labels = {Path(each["input"]).stem: each["categories"][0]["label"] for each in found}
    assert labels["coffee"] == "espresso"
    assert labels["chelsea"] == "tiger cat"


def test_what_was_detected_is_drawn(run: Run, tmp_path: Path) -> None:
    photo = SAMPLES / "astronaut.png"
    (found,) = lines(run("predict", photo, "-m", "nanodet", "--save", tmp_path, "--json"))
    assert found["detections"][0]["label"] == "person"
    with Image.open(found["saved"]) as drawn, Image.open(photo) as original:
        assert drawn.size == original.size
        assert drawn.convert("RGB").tobytes() != original.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("model", "flags", "scale"),
    [
        ("esrgan-slim", ["--tile-size", "128"], 3),
        ("multistyle", ["--style", "3"], 1),
        ("arbitrary-style", ["--style-image", SAMPLES / "coffee.png"], 1),
        ("push-pull", ["--hole", "10,10,60,60"], 1),
    ],
)
def test_image_tasks_write_their_picture(
    run: Run, tmp_path: Path, model: str, flags: list[object], scale: int
) -> None:
    (found,) = lines(
        run("predict", SAMPLES / "chelsea.png", "-m", model, *flags, "--save", tmp_path, "--json")
    )
    with Image.open(found["saved"]) as picture:
        assert picture.size == (451 * scale, 300 * scale)


def test_a_folder_is_explained(run: Run, tmp_path: Path) -> None:
    """The same seed gives the same map; nothing but JSON on standard output."""
    flags = ["-m", "efficientnet-lite0", "--masks", "64", "--seed", "1", "--json"]
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("coffee.png", "chelsea.png"):
        (photos / name).write_bytes((SAMPLES / name).read_bytes())
    maps = []
    for out in (tmp_path / "first", tmp_path / "second"):
        found = lines(run("explain", "--input", photos, "--output", out, *flags))
        assert [each["explanations"][0]["parameters"]["seed"] for each in found] == [1, 1]
        maps.append(np.load(out / "chelsea.tiger_cat.npy"))
        assert (out / "coffee.espresso.overlay.png").is_file()
    assert maps[0].shape == (224, 224)
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["predict", SAMPLES / "coffee.png", "-m", "nanodet2"], 4, "Did you mean 'nanodet'?"),
        (["predict", "none.png", "-m", "nanodet"], 1, "none.png: No such file or directory"),
        (["predict", __file__, "-m", "nanodet"], 4, "not an image that can be read"),
        (["explain", SAMPLES / "coffee.png", "-m", "nanodet", "-t", "cup", "-p", "x=1"], 4, ""),
        (["health", "--service", "none"], 4, "the server has no service 'none'"),
        (["predict", SAMPLES / "coffee.png", "-m", "nanodet", "--style", "1"], 2, "--threshold"),
    ],
    ids=["model", "file", "text", "method", "service", "flag"],
)
def test_refusals_say_what_to_do(run: Run, args: list[object], code: int, says: str) -> None:
    ended = run(*args)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def snippets(language: str) -> list[str]:
    page = (SAMPLES.parent / "docs" / "client.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize(
    ("interpreter", "snippet"),
    [(("python", "-c"), each) for each in snippets("python")]
    + [(("sh", "-ec"), each) for each in snippets("sh")],
    ids=itertools.count(),
)
def test_the_page_of_the_client_runs(
    server: Any, tmp_path: Path, interpreter: tuple[str, str], snippet: str
) -> None:
    (tmp_path / "samples").symlink_to(SAMPLES)
    programs = Path(sys.executable).parent
    code = snippet.replace("localhost:8001", server.target)
    code = code.replace("Client()", f"Client({server.target!r})")
    ended = subprocess.run(
        [*interpreter, code],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
        cwd=tmp_path,
        env=os.environ
        | {"PELLUCID_SERVER": server.target, "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
