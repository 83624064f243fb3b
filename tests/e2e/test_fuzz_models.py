"""Model files with some bytes changed, in the repository of a server: it says why, and goes on.

`FUZZ_EXAMPLES=500 pytest tests/e2e/test_fuzz_models.py` tries more, and others each time.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import pellucid

from .conftest import write_classifier

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
DICE = Random(time.time_ns() if EXAMPLES else 1)  # noqa: S311 - no secret
CANARY = "canary"
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
PATIENCE = 60
pytestmark = pytest.mark.timeout(6 * 3600 if EXAMPLES else 120)


def torn(data: bytes) -> bytes:
    """Some bytes of a file changed, left out, put in or cut off."""
    changed = bytearray(data)
    for _ in range(DICE.randint(1, 8)):
        place = DICE.randrange(max(len(changed), 1))
        match DICE.randrange(5):
            case 0:
                changed[place : place + 1] = DICE.randbytes(1)
            case 1:
                changed[place : place + 4] = DICE.choice((b"\xff" * 4, bytes(4), b"9999"))
            case 2:
                del changed[place : place + DICE.randint(1, 16)]
            case 3:
                changed[place:place] = DICE.randbytes(DICE.randint(1, 16))
            case _ if DICE.random() < 0.2:
                del changed[place:]
    return bytes(changed)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a right model; others are put in while it is served."""
    root = tmp_path_factory.mktemp("torn") / "models"
    return write_classifier(root, CANARY, side=32, layers=2, channels=4)


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any], models: Path) -> Any:
    return serve(models, "--poll-interval=0.1")


def sources(models: Path) -> list[tuple[Path, str]]:
    """Folders of right models, and the files of each that are changed."""
    data = ROOT / "tests" / "data"
    return [
        (models / CANARY, "1/model.xml"),
        (models / CANARY, "1/model.bin"),
        (models / CANARY, "model.yaml"),
        (data / "onnx", "1/model.onnx"),
        (data / "tflite", "1/model.tflite"),
        (data / "paddle", "1/model.pdmodel"),
    ]


def put(models: Path, source: Path, name: str, index: int) -> str:
    """A model with a changed file, moved into the repository as a whole."""
    making = models.parent / f"torn-{index}"
    if (source / "1").is_dir():
        shutil.copytree(source, making)
    else:
        shutil.copytree(source, making / "1")
    (making / name).write_bytes(torn((making / name).read_bytes()))
    making.rename(models / making.name)
    return making.name


def test_any_model_file(server: Any, models: Path) -> None:
    """Each is served, or failed with a reason; a right one is served beside them all the time."""
    kinds = sources(models)
    with pellucid.Client(server.target) as client:
        for index in range(EXAMPLES or len(kinds)):
            source, name = kinds[index % len(kinds)]
            model = put(models, source, name, index)
            version = settled(client, model)
            assert version.state in {"ready", "failed"}
            assert version.reason or version.state == "ready"
            client.predict(PHOTO, model=CANARY)
            tell(models / model, version.reason)
            shutil.rmtree(models / model)
    assert server.process.poll() is None
    assert not [event for event in server.events() if event["level"] == "error"]


def settled(client: pellucid.Client, name: str) -> Any:
    """The version of a model, once the server has read it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            versions = client.model(name).versions
        except pellucid.NotFoundError:
            versions = ()
        if versions and versions[0].state != "loading":
            return versions[0]
        time.sleep(0.05)
    raise AssertionError(f"{name} was not read")


def tell(model: Path, reason: str) -> None:
    """Keeps what would have ended the server, for whoever asked for a long run."""
    if EXAMPLES and ("crash" in reason or "did not end" in reason):
        kept = ROOT / "out" / "fuzz" / f"model-{time.time_ns()}"
        shutil.copytree(model, kept)
        (kept / "reason").write_text(reason)
