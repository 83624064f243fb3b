"""The command line against a server that answers from a script."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pellucid.cli import app
from pellucid.v1 import inference_pb2


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


@pytest.fixture
def run(target: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PELLUCID_SERVER", target)
    monkeypatch.setenv("COLUMNS", "100")

    def command(*args: object) -> Ended:
        result = CliRunner().invoke(app, list(map(str, args)), prog_name="pellucid")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return command


@pytest.fixture
def photos(tmp_path: Path, scripted: Any) -> Path:
    folder = tmp_path / "photos"
    for name in ("a.png", "b.png", "deep/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(scripted.png())
    (folder / "notes.txt").write_text("no image")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_version(run: Run) -> None:
    ended = run("--version")
    assert (ended.code, ended.out) == (0, "pellucid 0.1.0\n")


def test_help_tells_the_exit_codes(run: Run) -> None:
    assert "the server refused the request" in run("--help").out
    assert "--style-image" in run("predict", "-h").out


def test_health_is_a_probe(run: Run, fake: Any) -> None:
    assert run("health") == Ended(0, "serving\n", "")
    fake.serving = 2
    assert run("health", "--service", "x").code == 1
    assert run("health", "--json").lines == [{"service": "", "status": "not_serving"}]


def test_models(run: Run) -> None:
    ended = run("models")
    assert ended.code == 0
    assert "lights" in ended.out
    assert "2 failed, 1 ready" in ended.out
    assert json.loads(run("models", "--json").out)[0]["name"] == "lights"


def test_a_model(run: Run) -> None:
    ended = run("models", "lights")
    for fact in ("1 x 3 x ? x ?", "the file is cut short", "3: off, cat, dog", "default features"):
        assert fact in ended.out
    described = json.loads(run("models", "lights", "--json").out)
    assert described["versions"][1]["load_time"] == "2023-11-14T22:13:20+00:00"


def test_methods(run: Run) -> None:
    ended = run("methods", "--model", "lights")
    assert "num_masks" in ended.out
    assert "int from 1" in ended.out
    assert json.loads(run("methods", "--json").out)[0]["name"] == "rise"


def test_predict_prints_a_table_for_each_image(run: Run, photos: Path) -> None:
    ended = run("predict", photos, "-m", "lights")
    assert ended.code == 0
    assert ended.out.count("75.0%") == 3
    assert "notes.txt" not in ended.out


def test_predict_prints_a_json_line_for_each_image(run: Run, photos: Path) -> None:
    ended = run("predict", photos / "a.png", photos / "b.png", "-m", "lights", "--json")
    assert [Path(each["input"]).name for each in ended.lines] == ["a.png", "b.png"]
    assert ended.lines[0]["categories"] == [{"class_id": 1, "label": "cat", "confidence": 0.75}]
    assert ended.err == ""


def test_predict_saves_a_picture_for_each_image(run: Run, photos: Path, tmp_path: Path) -> None:
    """The folder is made; images of one name in two folders do not meet."""
    out = tmp_path / "new" / "out"
    ended = run("predict", photos, "-m", "lights", "--save", out)
    assert files(out) == ["a.lights.png", "b.lights.png", "deep/a.lights.png"]
    assert ended.err.count("saved") == 3
    assert run("predict", photos, "-m", "lights", "--save", out, "--quiet").err == ""


def test_inputs_are_never_overwritten(run: Run, photos: Path, scripted: Any) -> None:
    run("predict", photos / "a.png", "-m", "lights", "--save", photos)
    assert (photos / "a.png").read_bytes() == scripted.png()


def test_files_of_one_name_from_two_folders_are_told_apart(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("predict", photos / "a.png", photos / "deep/a.png", "-m", "lights", "--save", out)
    assert files(out) == ["a.lights.png", "deep/a.lights.png"]


def test_patterns_are_expanded(run: Run, photos: Path) -> None:
    ended = run("predict", photos / "*.png", "-m", "lights", "--json")
    assert len(ended.lines) == 2


def test_one_bad_input_of_many_does_not_stop_the_others(
    run: Run, photos: Path, fake: Any, scripted: Any
) -> None:
    (photos / "b.png").write_bytes(b"broken")

    def predict(request: Any, context: Any) -> Any:
        if request.inputs[0].image == b"broken":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not an image")
        return scripted.classified(request)

    fake.predict = predict
    ended = run("predict", photos, photos / "none.png", "-m", "lights", "--json")
    assert ended.code == 1
    assert ["error" in each for each in ended.lines] == [False, True, False, True]
    assert ended.lines[1]["error"]["code"] == "INVALID_ARGUMENT"
    assert ended.lines[1]["error"]["exit_code"] == 4
    assert "b.png: not an image" in ended.err
    assert "none.png: No such file or directory" in ended.err
    assert "2 of 4 images failed" in ended.err


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 4),
        (grpc.StatusCode.NOT_FOUND, 4),
        (grpc.StatusCode.PERMISSION_DENIED, 4),
        (grpc.StatusCode.UNAUTHENTICATED, 4),
        (grpc.StatusCode.FAILED_PRECONDITION, 4),
        (grpc.StatusCode.UNIMPLEMENTED, 4),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 5),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 6),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.CANCELLED, 1),
    ],
)
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_single_inputs_error_is_the_exit_code(
    run: Run,
    photos: Path,
    fake: Any,
    tmp_path: Path,
    status: grpc.StatusCode,
    code: int,
    command: str,
) -> None:
    def fails(_request: Any, context: Any) -> Any:
        context.abort(status, "what is\x1b[2J wrong")

    fake.predict = fake.explain = fails
    out = ["-o", tmp_path] if command == "explain" else []
    ended = run(command, photos / "a.png", "-m", "lights", *out)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert "\x1b" not in ended.err


def test_nobody_at_the_address(run: Run, photos: Path) -> None:
    ended = run("predict", photos, "-m", "lights", "--server", "127.0.0.1:1")
    assert ended.code == 3
    assert "no answer from 127.0.0.1:1" in ended.err
    assert ended.err.count("\n") == 1


def test_a_server_that_goes_away_ends_the_run(run: Run, photos: Path, fake: Any) -> None:
    def predict(_request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNAVAILABLE, "going down")

    fake.predict = predict
    assert run("predict", photos, "-m", "lights").code == 3


def test_an_unknown_model_is_refused_before_any_image(run: Run, photos: Path, fake: Any) -> None:
    ended = run("predict", photos, "-m", "night")
    assert (ended.code, ended.err) == (4, "error: no model 'night'\n")
    assert not fake.asked(inference_pb2.PredictRequest)


@pytest.mark.parametrize(
    ("task", "args", "field", "expected"),
    [
        ("CLASSIFICATION", ["--top-k", "3"], "top_k", 3),
        ("CLASSIFICATION", ["--threshold", "0.5"], "min_confidence", 0.5),
        ("DETECTION", ["--threshold", "0.5"], "confidence_threshold", 0.5),
        ("DETECTION", ["--iou", "0.25"], "iou_threshold", 0.25),
        ("DETECTION", ["--label", "cat", "--label", "dog"], "labels", ["cat", "dog"]),
        ("SEMANTIC_SEGMENTATION", ["--threshold", "0.25"], "threshold", 0.25),
        ("SUPER_RESOLUTION", ["--tile-size", "64"], "tile_size", 64),
        ("STYLE_TRANSFER", ["--style", "3"], "style_index", 3),
    ],
)
def test_flags_mean_what_the_task_calls_them(
    run: Run, photos: Path, fake: Any, task: str, args: list[str], field: str, expected: Any
) -> None:
    fake.tasks["lights"] = task
    assert run("predict", photos / "a.png", "-m", "lights", *args).code == 0
    request = fake.asked(inference_pb2.PredictRequest)[0]
    value = getattr(getattr(request, task.lower()), field)
    assert (value if np.isscalar(value) else list(value)) == expected


def test_holes_and_masks(run: Run, photos: Path, fake: Any) -> None:
    fake.tasks["lights"] = "INPAINTING"
    mask = photos / "b.png"
    run("predict", photos / "a.png", "-m", "lights", "--hole", "1,2,3,4", "--mask", mask)
    (request,) = fake.asked(inference_pb2.PredictRequest)
    assert request.inpainting.rectangles[0].y_max == 4
    assert request.inpainting.mask.image == mask.read_bytes()


def test_raw_outputs_are_saved_as_arrays(run: Run, photos: Path, tmp_path: Path, fake: Any) -> None:
    def predict(request: Any, _context: Any) -> Any:
        response = inference_pb2.PredictResponse(model_name=request.model_name)
        tensor = response.predictions.add().raw_outputs.add(name="y/z", datatype="UINT8")
        tensor.shape.append(2)
        tensor.data = b"\x01\x02"
        return response

    fake.predict = predict
    ended = run("predict", photos / "a.png", "-m", "lights", "--save", tmp_path)
    assert "uint8" in ended.out
    assert np.load(tmp_path / "a.lights.npz")["y_z"].tolist() == [1, 2]


def test_numbers_are_printed_and_saved(run: Run, photos: Path, tmp_path: Path, fake: Any) -> None:
    def predict(request: Any, _context: Any) -> Any:
        response = inference_pb2.PredictResponse(model_name=request.model_name)
        response.predictions.add().regression.values.extend([0.1, 2e6])
        return response

    fake.predict = predict
    command = ("predict", photos / "a.png", "-m", "lights", "--save", tmp_path)
    assert "2e+06" in run(*command).out
    assert np.load(tmp_path / "a.lights.npz")["values"].tolist() == [0.1, 2e6]
    assert run(*command, "--json").lines[0]["values"] == [0.1, 2e6]


@pytest.mark.parametrize(
    "args",
    [
        ["predict"],
        ["predict", "a.png"],
        ["predict", "a.png", "-m", "lights", "--iou", "0.5"],
        ["predict", "a.png", "-m", "lights", "--hole", "1,2"],
        ["predict", "none/*.png", "-m", "lights"],
        ["explain", "-m", "lights"],
        ["explain", "a.png", "-m", "lights", "--param", "seed"],
        ["explain", "a.png", "-m", "lights", "--maps", "gif"],
        ["fly"],
        ["--timeout", "0", "health"],
    ],
    ids=" ".join,
)
def test_wrong_usage(run: Run, args: list[str]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_explain_writes_a_map_and_an_overlay_for_each_target(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = run("explain", photos / "a.png", "-m", "lights", "-o", out, "--maps", "both")
    assert ended.code == 0
    assert files(out) == [
        "a.cat.npy",
        "a.cat.overlay.png",
        "a.cat.png",
        "a.dog.npy",
        "a.dog.overlay.png",
        "a.dog.png",
    ]
    saliency = np.load(out / "a.cat.npy")
    assert saliency.dtype == np.float32
    with Image.open(out / "a.cat.png") as image:
        low, high = (float(image.text[name]) for name in ("minimum", "maximum"))  # type: ignore[attr-defined]  # of PNG files
        scaled = np.asarray(image).astype(float) / 65535
    np.testing.assert_allclose(low + scaled * (high - low), saliency, atol=(high - low) / 65535)


def test_explain_sends_what_the_flags_say(run: Run, photos: Path, fake: Any) -> None:
    fake.tasks["lights"] = "CLASSIFICATION"
    flags = "--masks 10 --seed 7 --param prob=0.5 --param fill=mean --param soft=true --top-k 2"
    look = "--color-map magma --opacity 0.5 -t dog -t 1 -t 999"
    run("explain", photos / "a.png", "-m", "lights", "-o", photos, *flags.split(), *look.split())
    request = fake.requests[-1]
    assert request.parameters["num_masks"].int_value == 10
    assert request.parameters["seed"].int_value == 7
    assert request.parameters["prob"].double_value == 0.5
    assert request.parameters["fill"].string_value == "mean"
    assert request.parameters["soft"].bool_value is True
    assert (request.overlay.color_map, request.overlay.opacity) == ("magma", 0.5)
    assert [each.label or each.class_id for each in request.targets] == ["dog", 1, 999]


def test_explain_sends_objects_and_places(run: Run, photos: Path, fake: Any) -> None:
    """The one class belongs to every box; flags of the task go into its parameters."""
    fake.tasks["lights"] = "DETECTION"
    flags = "-t cat --box 1,2,3,4 --box 5,6,7,8 --detection 0 --threshold 0.25"
    run("explain", photos / "a.png", "-m", "lights", "-o", photos, *flags.split())
    request = fake.requests[-1]
    first, second, third = request.targets
    assert [(each.label, each.box.x_min) for each in (first, second)] == [("cat", 1), ("cat", 5)]
    assert (third.WhichOneof("kind"), third.detection) == ("detection", 0)
    assert request.detection.confidence_threshold == 0.25


@pytest.mark.parametrize(
    ("flags", "telling"),
    [
        ("-t cat -t dog --box 1,2,3,4", "one --target"),
        ("--box 1,2,3", "x_min,y_min,x_max,y_max"),
        ("--style 3", "not for lights"),
    ],
)
def test_explain_refuses_flags_that_do_not_go_together(
    run: Run, photos: Path, flags: str, telling: str
) -> None:
    ended = run("explain", photos / "a.png", "-m", "lights", "-o", photos, *flags.split())
    assert ended.code == 2
    assert telling in " ".join(ended.err.split())


def test_objects_of_one_class_have_files_of_their_own(
    run: Run, photos: Path, tmp_path: Path, fake: Any, scripted: Any
) -> None:
    def explain(request: Any, context: Any) -> Iterator[Any]:
        for event in scripted.explained(request, context):
            for each in event.results.explanations:
                each.target.CopyFrom(scripted.category())
                each.box.x_max = 5
            yield event

    fake.explain = explain
    out = tmp_path / "out"
    ended = run("explain", photos / "a.png", "-m", "lights", "-o", out, "--no-overlay", "--json")
    assert files(out) == ["a.cat-1.npy", "a.cat-2.npy"]
    box = {"x_min": 0, "y_min": 0, "x_max": 5, "y_max": 0}
    assert ended.lines[0]["explanations"][0]["box"] == box


def test_digits_that_are_a_label_stay_one(
    run: Run, photos: Path, fake: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = scripted.model

    def digits(*args: Any) -> Any:
        described = plain(*args)
        described.labels[:] = ["9", "8"]
        return described

    monkeypatch.setattr(scripted, "model", digits)
    run("explain", photos / "a.png", "-m", "lights", "-o", photos, "-t", "9", "-t", "0")
    assert [each.WhichOneof("kind") for each in fake.requests[-1].targets] == ["label", "class_id"]


def test_explain_a_folder(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = run("explain", "--input", photos, "--output", out, "-m", "lights", "--no-overlay")
    assert files(out) == [
        "a.cat.npy",
        "a.dog.npy",
        "b.cat.npy",
        "b.dog.npy",
        "deep/a.cat.npy",
        "deep/a.dog.npy",
    ]
    assert ended.err == ""


def test_explain_prints_json_lines(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "b.png").unlink()
    ended = run("explain", photos, "-m", "lights", "-o", tmp_path / "out", "--json")
    assert len(ended.lines) == 2
    first = ended.lines[0]["explanations"][0]
    assert first["target"] == {"class_id": 1, "label": "cat", "confidence": 0.75}
    assert [Path(each).name for each in first["files"]] == ["a.cat.npy", "a.cat.overlay.png"]
    assert (first["minimum"], first["maximum"]) == (0, 5)


def test_labels_cannot_lead_out_of_the_folder(
    run: Run, photos: Path, tmp_path: Path, fake: Any, scripted: Any
) -> None:
    """And two classes of one name are told apart."""

    def explain(request: Any, context: Any) -> Iterator[Any]:
        for event in scripted.explained(request, context):
            for each in event.results.explanations:
                each.target.label = "../../evil/.."
            yield event

    fake.explain = explain
    out = tmp_path / "out"
    run("explain", photos / "a.png", "-m", "lights", "-o", out, "--no-overlay")
    assert files(out) == ["a.evil-1.npy", "a.evil-2.npy"]


def test_a_folder_that_cannot_be_written(run: Run, photos: Path) -> None:
    ended = run("explain", photos / "a.png", "-m", "lights", "-o", photos / "notes.txt")
    assert ended.code == 1
    assert "notes.txt" in ended.err
    assert "Traceback" not in ended.err


def test_markup_of_a_server_is_text(run: Run, photos: Path, fake: Any, scripted: Any) -> None:
    def predict(request: Any, _context: Any) -> Any:
        response = scripted.classified(request)
        response.predictions[0].classification.categories[0].label = "[bold]cat[/] \x1b[31m"
        return response

    fake.predict = predict
    ended = run("predict", photos / "a.png", "-m", "lights")
    assert "[bold]cat[/]" in ended.out
    assert "\x1b" not in ended.out


def test_shared_options_stand_anywhere(run: Run, target: str) -> None:
    for args in (
        ["health", "--server", target, "--json"],
        ["--json", "--server=" + target, "health"],
        ["health", f"--server={target}", "--timeout", "5", "--json"],
        ["-s", target, "health", "--json", "--quiet"],
    ):
        assert run(*args).lines == [{"service": "", "status": "serving"}]


def test_a_token_is_sent(run: Run, fake: Any) -> None:
    run("models", "--token", "secret")
    assert fake.metadata[-1]["authorization"] == "Bearer secret"
    ended = run("models", "--token", "secret", "--server", "example.org:1")
    assert ended.code == 4
    assert "would travel unencrypted" in ended.err


def test_a_line_break_at_the_end_of_the_token_s_variable_is_not_part_of_it(
    run: Run, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_TOKEN", "secret\n")
    run("models")
    assert fake.metadata[-1]["authorization"] == "Bearer secret"


def test_a_token_of_a_file_wins(run: Run, fake: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    run("models", "--token", "secret", "--token-file", file)
    assert fake.metadata[-1]["authorization"] == "Bearer from-the-file"


def test_certificates_that_are_not_there(run: Run) -> None:
    ended = run("models", "--ca", "none.pem")
    assert (ended.code, ended.err) == (1, "error: none.pem: No such file or directory\n")


@pytest.fixture
def spawn(target: str) -> Callable[..., "subprocess.Popen[str]"]:
    def start(*args: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pellucid.cli", *map(str, args)]
        pipe = subprocess.PIPE
        environment = os.environ | {"PELLUCID_SERVER": target}
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)

    return start


def test_as_a_program(spawn: Callable[..., "subprocess.Popen[str]"], photos: Path) -> None:
    with spawn("predict", photos, "-m", "lights", "--json") as program:
        out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (0, "")
    assert len([json.loads(line) for line in out.splitlines()]) == 3


def test_an_interrupt_stops_the_servers_work(
    spawn: Callable[..., "subprocess.Popen[str]"], photos: Path, fake: Any, scripted: Any
) -> None:
    started, gone = threading.Event(), threading.Event()

    def explain(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(gone.set)
        yield from islice(scripted.explained(request, context), 2)
        started.set()
        gone.wait(30)

    fake.explain = explain
    with spawn("explain", photos / "a.png", "-m", "lights", "-o", photos) as program:
        assert started.wait(30)
        time.sleep(0.3)  # for the program to be at its next read
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert gone.wait(10)
    assert (program.returncode, out, err) == (130, "", "")


def test_an_interrupt_does_not_wait_for_predictions(
    spawn: Callable[..., "subprocess.Popen[str]"], photos: Path, fake: Any
) -> None:
    started, gone = threading.Event(), threading.Event()

    def hangs(_request: Any, context: Any) -> Any:
        context.add_callback(gone.set)
        started.set()
        gone.wait(30)
        return inference_pb2.PredictResponse()

    fake.predict = hangs
    with spawn("predict", photos, "-m", "lights") as program:
        assert started.wait(30)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=20)
    assert gone.wait(10)
    assert (program.returncode, out, err) == (130, "", "")
