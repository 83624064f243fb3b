"""The commands about evaluations, against a server that answers from a script."""

import csv
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
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from typer.testing import CliRunner

from pellucid.cli import app
from pellucid.v1 import evaluation_pb2, model_pb2


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(target: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PELLUCID_SERVER", target)
    monkeypatch.setenv("COLUMNS", "140")

    def command(*args: object) -> Ended:
        result = CliRunner().invoke(app, list(map(str, args)), prog_name="pellucid")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "set" / "cat" / "1.jpg").write_bytes(b"one")
    return tmp_path / "set"


def asked(evaluations: Any) -> Any:
    """The request of the last evaluation."""
    return evaluations.asked(evaluation_pb2.EvaluateDatasetRequest)[-1]


def test_evaluate_prints_metrics_worst_classes_and_bad_annotations(run: Run) -> None:
    ended = run("evaluate", "s3://bucket/val", "-m", "lights")
    assert ended.code == 0
    for fact in (
        "lights:3 on s3://bucket/val: 98 images",
        "87.50 %",
        "How often the most likely class is the annotated one.",
        "31.5 dB",
        "worst classes",
        "most confused",
        "val.txt:99",
        "there is no class 'zebra'",
    ):
        assert fact in ended.out
    assert "evaluation ev-1" in ended.err


def test_evaluate_sends_what_the_flags_say(run: Run, evaluations: Any) -> None:
    flags = (
        "--model-version 3 --format coco --subset 100 --seed 7 --per-class --strict "
        "--metric top_1 --metric ece --label-map kitty=cat --threshold 0.25 --batch 4 "
        "--resize crop --color BGR --mean 1,2,3 --scale 4,5,6 -p bins=10 -p header=true"
    )
    assert run("evaluate", "sets/val", "-m", "lights", *flags.split()).code == 0
    expected = evaluation_pb2.EvaluateDatasetRequest(
        model_name="lights",
        model_version="3",
        dataset="sets/val",
        dataset_format="coco",
        subset=evaluation_pb2.Subset(size=100, random=True, seed=7, per_class=True),
        strict=True,
        metrics=["top_1", "ece"],
        label_map={"kitty": "cat"},
        threshold=0.25,
        batch=4,
        preprocess=evaluation_pb2.PreprocessOverride(
            resize="crop", color="BGR", mean=[1, 2, 3], scale=[4, 5, 6]
        ),
        parameters={"bins": "10", "header": "true"},
    )
    assert asked(evaluations) == expected


def test_a_folder_here_is_sent_unless_told_otherwise(
    run: Run, evaluations: Any, folder: Path
) -> None:
    ended = run("evaluate", folder, "-m", "lights")
    assert asked(evaluations).dataset.startswith("uploads/")
    assert f"sent {folder} (1 files) as uploads/" in ended.err.replace("\n", "")
    run("evaluate", folder, "-m", "lights", "--no-upload")
    assert asked(evaluations).dataset == str(folder)


def test_what_is_to_be_sent_must_be_there(run: Run, tmp_path: Path) -> None:
    ended = run("evaluate", tmp_path / "none", "-m", "lights", "--upload")
    assert (ended.code, "No such file" in ended.err) == (1, True)


def test_a_wrong_model_is_told_before_anything_is_sent(
    run: Run, evaluations: Any, folder: Path
) -> None:
    ended = run("evaluate", folder, "-m", "night")
    assert (ended.code, ended.err) == (4, "error: no model 'night'\n")
    assert not evaluations.chunks


def test_evaluate_prints_one_document(run: Run, folder: Path) -> None:
    ended = run("evaluate", folder, "-m", "lights", "--json")
    assert (ended.document["name"], ended.document["model"]) == ("ev-1", "lights")
    assert ended.document["report"]["metrics"][0] == {"name": "top_1", "value": 0.875, "unit": ""}
    assert ended.document["create_time"] == "2023-11-14T22:13:20+00:00"


def test_evaluate_writes_rows(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.csv"
    ended = run("evaluate", "sets/val", "-m", "lights", "--csv", path)
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert len(rows) == 100
    assert f"saved {path}" in ended.err.replace("\n", "")
    assert (rows[7]["path"], rows[7]["annotated"], rows[7]["predicted"]) == (
        "cat/007.jpg",
        "cat",
        "dog",
    )
    assert (rows[7]["correct"], rows[7]["rank"], float(rows[7]["score"])) == ("false", "2", 0.035)
    assert (rows[99]["correct"], rows[99]["location"]) == ("", "val.txt:100")
    assert "zebra" in rows[99]["reason"]


ANNOTATIONS = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 4, "height": 3},
        {"id": 8, "file_name": "b.jpg", "width": 4, "height": 3},
    ],
    "categories": [{"id": 18, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 0, 2, 2], "area": 4, "iscrowd": 0}
    ],
}


def test_objects_are_results_that_coco_tools_load(
    run: Run, evaluations: Any, rows_of_objects: Any, tmp_path: Path
) -> None:
    """With the annotations' ids; the one box is where the annotation is, and so its AP is 1."""
    evaluations.rows = rows_of_objects
    ids, results = tmp_path / "instances.json", tmp_path / "results.json"
    ids.write_text(json.dumps(ANNOTATIONS))
    assert run("evaluate", "x", "-m", "lights", "--coco", results, "--coco-ids", ids).code == 0
    (only,) = json.loads(results.read_text())
    assert (only["image_id"], only["category_id"], only["score"]) == (7, 18, 0.75)
    assert only["bbox"] == [1, 0, 2, 2]
    assert only["segmentation"] == {"size": [3, 4], "counts": "31225"}
    truth = COCO(str(ids))
    judged = COCOeval_faster(truth, truth.loadRes(str(results)), "bbox")
    judged.run()
    assert judged.stats[0] == pytest.approx(1)


def test_without_ids_objects_are_a_data_set_of_their_own(
    run: Run, evaluations: Any, rows_of_objects: Any, tmp_path: Path
) -> None:
    evaluations.rows = rows_of_objects
    path = tmp_path / "found.json"
    run("evaluations", "show", "ev-1", "--coco", path)
    document = json.loads(path.read_text())
    assert document["images"][1] == {"id": 1, "file_name": "val/b.jpg"}
    assert document["categories"][0]["name"] == "dog"
    assert [each["id"] for each in document["annotations"]] == [1, 2]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"images": [1], "categories": []}'])
def test_ids_that_are_none_are_refused_before_the_work(
    run: Run, evaluations: Any, tmp_path: Path, content: str
) -> None:
    ids = tmp_path / "ids.json"
    ids.write_text(content)
    flags = ("--coco", tmp_path / "x.json", "--coco-ids", ids)
    ended = run("evaluate", "x", "-m", "lights", *flags)
    assert (ended.code, "is no COCO file of annotations" in ended.err) == (1, True)
    assert not evaluations.requests


def test_an_image_that_the_annotations_have_not(
    run: Run, evaluations: Any, rows_of_objects: Any, tmp_path: Path
) -> None:
    evaluations.rows = rows_of_objects
    rows_of_objects[0].path = "c.jpg"
    ids = tmp_path / "instances.json"
    ids.write_text(json.dumps(ANNOTATIONS))
    ended = run("evaluations", "show", "ev-1", "--coco", tmp_path / "x", "--coco-ids", ids)
    assert (ended.code, "have no image 'c.jpg'" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["evaluate"], "DATASET"),
        (["evaluate", "x"], "--model"),
        (["evaluate", "x", "-m", "lights", "--random"], "--subset"),
        (["evaluate", "x", "-m", "lights", "--seed", "1"], "--subset"),
        (["evaluate", "x", "-m", "lights", "--label-map", "a"], "name=value"),
        (["evaluate", "x", "-m", "lights", "--mean", "a,b"], "1,2,3"),
        (["evaluate", "x", "-m", "lights", "--coco-ids", "x"], "--coco"),
        (["optimize", "lights"], "--dataset"),
        (["compare", "ev-1"], "CANDIDATE"),
        (["evaluations", "render", "ev-1", "x", "-o", "y"], "INDEX"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_says_what(run: Run, args: list[str], told: str) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert told.lower() in ended.err.lower()
    assert "Traceback" not in ended.err


def test_a_failed_evaluation_says_why(run: Run, evaluations: Any) -> None:
    evaluations.state, evaluations.reason = "FAILED", "the disk is full"
    evaluations.evaluate = lambda request, context: islice(evaluations_of(request, context), 1)
    ended = run("evaluate", "sets/val", "-m", "lights")
    assert (ended.code, ended.err) == (4, "error: evaluation ev-1 failed: the disk is full\n")


def evaluations_of(request: Any, _context: Any) -> Iterator[Any]:
    evaluation = evaluation_pb2.Evaluation(name="ev-1", request=request)
    yield evaluation_pb2.EvaluateDatasetResponse(accepted=evaluation)


def test_without_the_extra_a_page_is_refused_before_the_work(
    run: Run, evaluations: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    ended = run("evaluate", "x", "-m", "lights", "--html", tmp_path / "x.html")
    assert (ended.code, "pip install 'pellucid[report]'" in ended.err) == (2, True)
    assert not evaluations.requests


def test_pages_are_written(run: Run, tmp_path: Path) -> None:
    one, other, third = (tmp_path / name for name in ("a.html", "b.html", "c.html"))
    assert run("evaluate", "x", "-m", "lights", "--html", one).code == 0
    assert run("evaluations", "show", "ev-1", "--html", other).code == 0
    assert run("compare", "ev-1", "ev-2", "--html", third).code == 0
    for path in (one, other, third):
        assert path.read_text("utf-8").startswith("<!doctype html>")


def test_evaluations_are_listed(run: Run, evaluations: Any) -> None:
    ended = run("evaluations", "list", "-m", "lights", "--state", "succeeded")
    assert "2 evaluations" in ended.out
    assert "ev-2" in ended.out
    request = evaluations.asked(evaluation_pb2.ListEvaluationsRequest)[0]
    assert (request.model_name, request.state) == ("lights", 3)
    assert len(run("evaluations", "list", "--limit", 1, "--json").document) == 1


def test_an_evaluation_is_shown_with_its_report_or_where_it_stands(
    run: Run, evaluations: Any, tmp_path: Path
) -> None:
    assert "87.50 %" in run("evaluations", "show", "ev-1").out
    evaluations.state, evaluations.reason = "FAILED", "the disk is full"
    ended = run("evaluations", "show", "ev-1")
    assert "failed" in ended.out
    assert "the disk is full" in ended.err
    assert run("evaluations", "show", "ev-1", "--json").document["state"] == "failed"
    refused = run("evaluations", "show", "ev-1", "--csv", tmp_path / "x.csv")
    assert (refused.code, "there is no report" in refused.err) == (4, True)


def test_an_evaluation_is_watched_cancelled_and_deleted(run: Run, evaluations: Any) -> None:
    assert "87.50 %" in run("evaluations", "watch", "ev-1", "--resume").out
    assert evaluations.asked(evaluation_pb2.WatchEvaluationRequest)[0].resume
    assert "cancelled" in run("evaluations", "cancel", "ev-1").out
    assert run("evaluations", "delete", "ev-1", "ev-2").err == "deleted ev-1\ndeleted ev-2\n"
    assert len(evaluations.asked(evaluation_pb2.DeleteEvaluationRequest)) == 2


def test_rows_are_listed_with_filters(run: Run, evaluations: Any) -> None:
    flags = "--wrong --annotated cat --min-confidence 0.1 --min-rank 2 --sort score --limit 3"
    ended = run("evaluations", "examples", "ev-1", *flags.split(), "--descending")
    request = evaluations.asked(evaluation_pb2.ListExamplesRequest)[-1]
    assert (request.erroneous, request.annotated_label, request.min_rank) == (True, "cat", 2)
    assert (request.order, request.descending, request.page_size) == (4, True, 3)
    assert "cat/000.jpg" in ended.out
    assert "wrong" in ended.out
    lines = run("evaluations", "examples", "ev-1", "--limit", 3, "--json").out.splitlines()
    assert [json.loads(each)["index"] for each in lines] == [0, 1, 2]
    assert "val.txt:99" in run("evaluations", "examples", "ev-1", "--bad").out


def test_a_row_is_drawn_into_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "row.jpg"
    assert run("evaluations", "render", "ev-1", 3, "-o", path, "--explanation").code == 0
    assert path.read_bytes().startswith(b"\xff\xd8")


def test_a_comparison_is_printed(run: Run, evaluations: Any) -> None:
    ended = run("compare", "ev-1", "ev-2", "--explain", 3, "--flips", 9)
    for fact in (
        "lights:2 int8 against lights:1 f32, 98 images",
        "-2.00 points",
        "-3.50 points to -0.50 points",
        "worse",
        "not resampled",
        "within chance",
        "2.00 times as fast: 10.00 to 5.00 ms an inference",
        "25.0%: 20.0 to 5.0 MB",
        "0.797, mean of 3 images",
        "became wrong",
        "2 of the baseline, 0 of the other",
        "images changed between the two",
    ):
        assert fact in ended.out
    (request,) = evaluations.asked(evaluation_pb2.CompareEvaluationsRequest)
    assert (request.explained_images, request.flips) == (3, 9)


def test_a_comparison_as_a_document(run: Run) -> None:
    document = run("compare", "ev-1", "ev-2", "--json").document
    assert document["deltas"][1]["low"] is None
    assert document["speedup"] == 2
    assert document["flips"][0]["change"] == "became wrong"


def test_two_models_are_evaluated_and_compared(run: Run, evaluations: Any, folder: Path) -> None:
    assert run("compare", "lights:1", "lights", "--dataset", folder).code == 0
    requests = evaluations.asked(evaluation_pb2.EvaluateDatasetRequest)
    assert [(each.model_name, each.model_version) for each in requests] == [
        ("lights", "1"),
        ("lights", ""),
    ]
    assert requests[0].dataset == requests[1].dataset
    assert len(evaluations.chunks) == 1


def test_a_model_is_optimised(run: Run, evaluations: Any) -> None:
    requests: list[Any] = []
    plain = evaluations.optimize

    def optimize(request: Any, context: Any) -> Iterator[Any]:
        requests.append(request)
        yield from plain(request, context)

    evaluations.optimize = optimize
    flags = "--dataset sets/val --max-drop 0.01 --preset mixed --calibration-size 30"
    ended = run("optimize", "lights", *flags.split())
    assert "version 3" in ended.out
    assert "5.0 MB" in ended.out
    assert requests[0].max_accuracy_drop == pytest.approx(0.01)
    document = run("optimize", "lights", "--fp16", "--json").document
    assert requests[1].optimization == model_pb2.OPTIMIZATION_FP16
    assert document["lineage"]["create_time"] == "2023-11-14T22:13:20+00:00"


def test_markup_of_a_data_set_is_text(run: Run, evaluations: Any) -> None:
    for row in evaluations.rows:
        row.path = f"[bold]{row.path}[/] \x1b[2J"
    ended = run("evaluations", "examples", "ev-1")
    assert "[bold]cat/000.jpg[/]" in ended.out
    assert "\x1b" not in ended.out


@pytest.fixture
def spawn(target: str) -> Callable[..., "subprocess.Popen[str]"]:
    def start(*args: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pellucid.cli", *map(str, args)]
        pipe = subprocess.PIPE
        environment = os.environ | {"PELLUCID_SERVER": target}
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)

    return start


def test_an_interrupt_leaves_the_evaluation_running_and_says_how_to_join(
    spawn: Callable[..., "subprocess.Popen[str]"], evaluations: Any
) -> None:
    started, gone = threading.Event(), threading.Event()

    def evaluate(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(gone.set)
        yield from evaluations_of(request, context)
        started.set()
        gone.wait(30)

    evaluations.evaluate = evaluate
    with spawn("evaluate", "sets/val", "-m", "lights") as program:
        assert started.wait(30)
        time.sleep(0.3)  # for the program to be at its next read
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert gone.wait(10)
    assert (program.returncode, out) == (130, "")
    assert err == "the evaluation goes on: pellucid evaluations watch ev-1\n"
    assert not evaluations.asked(evaluation_pb2.CancelEvaluationRequest)


def test_an_interrupted_upload_says_that_it_can_go_on(
    spawn: Callable[..., "subprocess.Popen[str]"], evaluations: Any, folder: Path
) -> None:
    started, gone = threading.Event(), threading.Event()

    def hang(_requests: Any, context: Any) -> Any:
        context.add_callback(gone.set)
        started.set()
        gone.wait(30)
        context.abort(grpc.StatusCode.CANCELLED, "")

    evaluations.refuse = hang
    with spawn("evaluate", folder, "-m", "lights") as program:
        assert started.wait(30)
        time.sleep(0.3)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert (program.returncode, out) == (130, "")
    assert err == "interrupted: the same command goes on where the upload stopped\n"
