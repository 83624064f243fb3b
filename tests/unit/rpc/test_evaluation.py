"""The evaluation service and OptimizeModel: what callers ask, and what they are told."""

import hashlib
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pellucid.v1 import evaluation_pb2 as messages
from pellucid.v1 import evaluation_pb2_grpc, model_pb2, model_pb2_grpc
from pellucid_server.call import Call
from pellucid_server.engine.evaluation.comparer import (
    Compared,
    ComparedModel,
    CompareRequest,
    MapCorrelation,
)
from pellucid_server.engine.evaluation.optimizer import DatasetOptimizeRequest
from pellucid_server.engine.evaluation.renderer import Rendered, RenderRequest
from pellucid_server.engine.evaluation.request import (
    EvaluationEvent,
    EvaluationRequest,
    Finished,
    Progress,
)
from pellucid_server.engine.optimize import OptimizeEvent, OptimizeProgress, OptimizeResult
from pellucid_server.errors import (
    Cancelled,
    EvaluationFailed,
    InvalidInput,
    NotFound,
    PellucidError,
    Stopping,
)
from pellucid_server.evaluate.compare import Change, Comparison, Delta, Flip, Settings
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.evaluate.row_json import report_to_json
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.store import (
    Evaluation,
    ExampleFilter,
    ExampleOrder,
    Page,
    State,
    StoreFull,
    StoreUnavailable,
    WrongState,
)
from pellucid_server.evaluate.uploads import Uploads
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.plan import Quantization
from pellucid_server.runtime.repository import ModelEntry
from pellucid_server.types import Category

from .conftest import Running
from .test_calls import eventually

HERE, THERE = "here", "there"
"""Places in a list."""
SERVICE = "pellucid.v1.EvaluationService"
REPORT = Report((Metric("top_1", 0.5),), images=10)
EVALUATION = Evaluation(
    request=EvaluationRequest("pets", "photos", model_version="3").to_json(),
    model_name="pets",
    model_version="3",
    task="classification",
    name="evaluations/X",
    state=State.SUCCEEDED,
    total=10,
    done=10,
    report=report_to_json(REPORT),
)
REQUEST = messages.EvaluateDatasetRequest(model_name="pet", dataset="photos")


@pytest.fixture
def stub(running: Running) -> Any:
    return running.stub(evaluation_pb2_grpc.EvaluationServiceStub)


def refused(call: Callable[[], Any]) -> Any:
    """The error of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def field_of(error: Any) -> str:
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            return str(bad.field_violations[0].field)
    return ""


def told(*events: EvaluationEvent | Exception) -> Callable[..., Iterator[EvaluationEvent]]:
    """A use case that tells these events, in turn."""

    def tell(*_: Any, **__: Any) -> Iterator[EvaluationEvent]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    return tell


def test_an_evaluation_is_streamed_from_accepted_to_report(running: Running, stub: Any) -> None:
    asked: list[EvaluationRequest] = []
    progress = Progress(5, 10, 1.0, math.inf, 5.0)

    def evaluate(request: EvaluationRequest, call: Call) -> Iterator[EvaluationEvent]:
        assert call.request_id
        asked.append(request)
        yield from (EVALUATION, progress, Finished(EVALUATION, REPORT))

    running.fake.evaluations.evaluate = evaluate
    events = list(stub.EvaluateDataset(REQUEST))
    assert [event.WhichOneof("event") for event in events] == ["accepted", "progress", "report"]
    assert events[0].accepted.name == "evaluations/X"
    assert events[2].report.metrics[0].value == 0.5
    assert asked == [EvaluationRequest("pet", "photos")]
    assert eventually(lambda: running.count(f"{SERVICE}/EvaluateDataset", "OK", "pets") == 1)


def test_the_log_tells_the_model_of_an_evaluation_that_is_joined(
    running: Running, stub: Any
) -> None:
    joined: list[tuple[str, bool]] = []

    def watch(name: str, call: Call, *, resume: bool) -> Iterator[EvaluationEvent]:
        del call
        joined.append((name, resume))
        yield from (EVALUATION, Finished(EVALUATION, REPORT))

    running.fake.evaluations.watch = watch
    request = messages.WatchEvaluationRequest(evaluation="evaluations/X", resume=True)
    events = list(stub.WatchEvaluation(request))
    assert [event.WhichOneof("event") for event in events] == ["accepted", "report"]
    assert joined == [("evaluations/X", True)]
    assert eventually(lambda: any(line["event"] == "call" for line in running.logs))
    (line,) = [line for line in running.logs if line["event"] == "call"]
    assert (line["model"], line["version"]) == ("pets", "3")


ENDS: list[tuple[PellucidError, grpc.StatusCode, str]] = [
    (EvaluationFailed("val.txt:3: no such image"), grpc.StatusCode.FAILED_PRECONDITION, ""),
    (Cancelled("it was cancelled"), grpc.StatusCode.CANCELLED, ""),
    (Stopping("the server stops"), grpc.StatusCode.UNAVAILABLE, ""),
    (StoreUnavailable("the store does not answer"), grpc.StatusCode.UNAVAILABLE, ""),
    (StoreFull("the store has no room"), grpc.StatusCode.RESOURCE_EXHAUSTED, ""),
    (NotFound("no such evaluation", field="evaluation"), grpc.StatusCode.NOT_FOUND, "evaluation"),
    (InvalidInput("no such metric", field="metrics"), grpc.StatusCode.INVALID_ARGUMENT, "metrics"),
]


@pytest.mark.parametrize(("error", "code", "field"), ENDS)
def test_however_it_ends_the_status_says_so(
    running: Running, stub: Any, error: PellucidError, code: grpc.StatusCode, field: str
) -> None:
    running.fake.evaluations.evaluate = told(EVALUATION, error)
    failed = refused(lambda: list(stub.EvaluateDataset(REQUEST)))
    assert (failed.code(), failed.details()) == (code, error.message)
    assert field_of(failed) == field


def test_hanging_up_closes_the_events(running: Running, stub: Any) -> None:
    """So that the evaluation hears of it, where it asked to."""
    closed = threading.Event()

    def evaluate(_: EvaluationRequest, call: Call) -> Iterator[EvaluationEvent]:
        try:
            yield EVALUATION
            call.cancelled.wait(30)
            call.check()
        finally:
            closed.set()

    running.fake.evaluations.evaluate = evaluate
    stream = stub.EvaluateDataset(REQUEST)
    next(stream)
    stream.cancel()
    assert closed.wait(10)


def test_an_evaluation_is_cancelled(running: Running, stub: Any) -> None:
    running.fake.evaluations.cancel = lambda name, _: Evaluation(
        **{**vars(EVALUATION), "name": name, "state": State.CANCELLED}
    )
    request = messages.CancelEvaluationRequest(evaluation="evaluations/Y")
    evaluation = stub.CancelEvaluation(request).evaluation
    assert evaluation.name == "evaluations/Y"
    assert evaluation.state == messages.EVALUATION_STATE_CANCELLED


def test_evaluations_are_listed_as_asked(running: Running, stub: Any) -> None:
    asked: list[dict[str, Any]] = []

    def evaluations(**wanted: Any) -> Page[Evaluation]:
        asked.append(wanted)
        return Page((EVALUATION,), THERE)

    running.fake.evaluations.store = SimpleNamespace(evaluations=evaluations)
    request = messages.ListEvaluationsRequest(
        page_size=7, page_token=HERE, model_name="pets", state=messages.EVALUATION_STATE_RUNNING
    )
    page = stub.ListEvaluations(request)
    assert asked == [
        {
            "model_name": "pets",
            "state": State.RUNNING,
            "tenant": None,
            "page_size": 7,
            "page_token": HERE,
        }
    ]
    assert [each.name for each in page.evaluations] == ["evaluations/X"]
    assert page.next_page_token == THERE


def test_an_evaluation_is_described_with_its_report(running: Running, stub: Any) -> None:
    running.fake.evaluations.store = SimpleNamespace(get=lambda _: EVALUATION)
    found = stub.GetEvaluation(messages.GetEvaluationRequest(evaluation="evaluations/X"))
    assert (found.evaluation.name, found.report.images) == ("evaluations/X", 10)


def test_rows_are_listed_as_asked(running: Running, stub: Any) -> None:
    asked: list[Any] = []
    row = Row(3, "a.png", detail={"boxes": [[0, 0, 1, 1]], "classes": [1], "scores": [0.5]})

    def examples(name: str, wanted: ExampleFilter, order: ExampleOrder, **page: Any) -> Page[Row]:
        asked.append((name, wanted, order, page))
        return Page((row,), THERE)

    running.fake.evaluations.store = SimpleNamespace(examples=examples)
    running.fake.evaluations.labels = lambda _: {1: "dog"}
    request = messages.ListExamplesRequest(
        evaluation="evaluations/X", page_size=2, page_token=HERE, erroneous=True, descending=True,
        order=messages.EXAMPLE_ORDER_SCORE, objects=True,
    )  # fmt: skip
    page = stub.ListExamples(request)
    ways = {"descending": True, "page_size": 2, "page_token": HERE}
    wanted = ExampleFilter(erroneous=True)
    assert asked == [("evaluations/X", wanted, ExampleOrder.SCORE, ways)]
    assert page.next_page_token == THERE
    assert page.examples[0].objects[0].category.label == "dog"


def test_a_row_is_drawn(running: Running, stub: Any) -> None:
    running.fake.on_render = lambda *_: Rendered(b"jpeg", Row(5, "a.png"))
    request = messages.RenderExampleRequest(
        evaluation="evaluations/X", index=5, max_side=300, annotation=True, explanation=True
    )
    drawn = stub.RenderExample(request)
    assert (drawn.picture, drawn.example.index) == (b"jpeg", 5)
    assert running.fake.requests == [
        RenderRequest("evaluations/X", 5, 300, annotation=True, explanation=True)
    ]


def test_what_runs_is_not_deleted(running: Running, stub: Any) -> None:
    deleted: list[str] = []

    def delete(name: str) -> None:
        if name == "evaluations/runs":
            raise WrongState("it runs: cancel it first", field="evaluation")
        deleted.append(name)

    running.fake.evaluations.store = SimpleNamespace(delete=delete)
    stub.DeleteEvaluation(messages.DeleteEvaluationRequest(evaluation="evaluations/X"))
    assert deleted == ["evaluations/X"]
    request = messages.DeleteEvaluationRequest(evaluation="evaluations/runs")
    error = refused(lambda: stub.DeleteEvaluation(request))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert field_of(error) == "evaluation"


CAT, DOG = Category(0, "cat", 0.75), Category(1, "dog", 0.5)
COMPARED = Compared(
    Comparison(
        deltas=(Delta("top_1", 0.75, 0.5, -0.5, 0.125),),
        images=8,
        became_wrong=3,
        became_right=1,
        disagreements=4,
        flips=(Flip(2, "a.png", Change.CHANGED, CAT, DOG),),
        confidence_shift=None,
        shift_images=7,
        seconds=(0.25, math.nan),
        only_baseline=1,
        only_candidate=2,
        differing_digests=3,
    ),
    ComparedModel(EVALUATION, 1000, 0.25),
    ComparedModel(EVALUATION, 250, math.nan),
    (MapCorrelation("a.png", 2, CAT, 0.5),),
)


def test_a_comparison_is_told_whole(running: Running, stub: Any) -> None:
    running.fake.on_compare = lambda *_: COMPARED
    request = messages.CompareEvaluationsRequest(
        baseline="one", candidate="other", explained_images=5, resamples=200, flips=9
    )
    found = stub.CompareEvaluations(request)
    assert running.fake.requests == [
        CompareRequest("one", "other", Settings(resamples=200, flips=9), 5)
    ]
    (delta,) = found.deltas
    assert (delta.name, delta.delta, delta.low, delta.high) == ("top_1", -0.25, -0.5, 0.125)
    assert (delta.baseline, delta.candidate) == (0.75, 0.5)
    assert (found.images, found.became_wrong, found.became_right, found.disagreements) == (
        8, 3, 1, 4,
    )  # fmt: skip
    assert (found.only_baseline, found.only_candidate, found.differing_digests) == (1, 2, 3)
    (flip,) = found.flips
    assert (flip.baseline.label, flip.candidate.label) == ("cat", "dog")
    assert not flip.HasField("annotated")
    assert not found.HasField("confidence_shift")
    assert found.baseline.inference_time.nanos == 250_000_000
    assert not found.candidate.HasField("inference_time")
    assert (found.baseline.size_bytes, found.candidate.size_bytes) == (1000, 250)
    assert found.map_correlations[0].correlation == 0.5


def test_a_comparison_has_defaults(running: Running, stub: Any) -> None:
    running.fake.on_compare = lambda *_: COMPARED
    stub.CompareEvaluations(messages.CompareEvaluationsRequest())
    assert running.fake.requests == [CompareRequest("", "", Settings(1000, 100))]


def test_too_few_resamples_are_refused(stub: Any) -> None:
    request = messages.CompareEvaluationsRequest(resamples=-5)
    error = refused(lambda: stub.CompareEvaluations(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_of(error) == "resamples"


@pytest.fixture
def uploads(running: Running, tmp_path: Path) -> Uploads:
    """Real ones."""
    real = Uploads(tmp_path / "uploads", quota=10**6, expiry=60, limits=Limits())
    vars(running.fake.uploads).update(received=real.received, write=real.write, commit=real.commit)
    return real


def file(path: str, data: bytes, offset: int = 0) -> messages.UploadDatasetRequest:
    digest = hashlib.sha256(data).digest()
    opened = messages.UploadFile(path=path, size=len(data), sha256=digest, offset=offset)
    return messages.UploadDatasetRequest(file=opened)


def chunk(data: bytes) -> messages.UploadDatasetRequest:
    return messages.UploadDatasetRequest(chunk=data)


PHOTO, NOTE = bytes(range(256)) * 8, b"path,label\na.png,cat\n"


def parts() -> Iterator[messages.UploadDatasetRequest]:
    yield file("images/a.png", PHOTO)
    yield chunk(PHOTO[:1000])
    yield chunk(PHOTO[1000:])
    yield file("empty.txt", b"")
    yield file("list.csv", NOTE)
    yield chunk(NOTE)


def test_a_set_is_uploaded_file_by_file(stub: Any, uploads: Uploads) -> None:
    uploaded = stub.UploadDataset(parts())
    assert (uploaded.files, uploaded.bytes) == (3, len(PHOTO) + len(NOTE))
    assert uploaded.expire_time.seconds > 0
    files = uploads.open(uploaded.dataset)
    assert files.read("images/a.png", 10**6) == PHOTO
    assert sorted(files.walk()) == ["empty.txt", "images/a.png", "list.csv"]


def test_the_server_tells_what_it_has_of_each_file(stub: Any, uploads: Uploads) -> None:
    uploads.write(hashlib.sha256(PHOTO).digest(), len(PHOTO), 0, [PHOTO[:700]])
    uploads.write(hashlib.sha256(NOTE).digest(), len(NOTE), 0, [NOTE])
    questions = [
        messages.FindUploadedFilesRequest(file=file("x", data).file)
        for data in (PHOTO, b"new", NOTE)
    ]
    found = stub.FindUploadedFiles(iter(questions))
    assert list(found.received_bytes) == [700, 0, len(NOTE)]
    assert list(stub.FindUploadedFiles(iter([])).received_bytes) == []


def test_an_upload_goes_on_where_it_broke_off(stub: Any, uploads: Uploads) -> None:
    """And sends nothing of what is there."""
    digest = hashlib.sha256(PHOTO).digest()

    def arrived() -> bool:
        return uploads.received(digest, len(PHOTO)) == 700

    def broken() -> Iterator[messages.UploadDatasetRequest]:
        yield file("a.png", PHOTO)
        yield chunk(PHOTO[:700])
        assert eventually(arrived)
        raise OSError("the network")

    refused(lambda: stub.UploadDataset(broken()))
    assert arrived()
    rest = [file("a.png", PHOTO, offset=700), chunk(PHOTO[700:])]
    first = stub.UploadDataset(iter(rest)).dataset
    again = [file("a.png", PHOTO, offset=len(PHOTO))]
    assert stub.UploadDataset(iter(again)).dataset == first


WRONG = {
    "nothing at all": ([], "file"),
    "a chunk before a file": ([chunk(b"x")], "file"),
    "a part of nothing": ([file("a", b"xy"), messages.UploadDatasetRequest()], "part"),
    "a file without its bytes": ([file("a", b"xy"), chunk(b"x")], "file"),
    "a wrong offset": ([file("a", b"xy", offset=1), chunk(b"y")], "file.offset"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.usefixtures("uploads")
def test_a_wrong_upload_says_what_is_wrong(stub: Any, case: str) -> None:
    wrong, field = WRONG[case]
    error = refused(lambda: stub.UploadDataset(iter(wrong)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_of(error) == field


OPTIMIZE = model_pb2.OptimizeModelRequest(
    model_name="pet",
    model_version="3",
    optimization=model_pb2.OPTIMIZATION_INT8,
    dataset="photos",
    dataset_format="csv",
    preset="mixed",
    calibration_size=50,
    ignored_names=["conv"],
    ignored_types=["MatMul"],
    max_accuracy_drop=0.0,
)


def test_an_optimisation_is_streamed_to_the_new_version(
    running: Running, entry: ModelEntry
) -> None:
    def optimize(_: DatasetOptimizeRequest, __: Call) -> Iterator[OptimizeEvent]:
        yield OptimizeProgress("calibrate", 5, 50, 1.0, 9.0)
        yield OptimizeProgress("quantise", 0, 0, 2.0)
        yield OptimizeResult(entry, entry.versions[1])

    running.fake.on_optimize = optimize
    events = list(running.stub(model_pb2_grpc.ModelServiceStub).OptimizeModel(OPTIMIZE))
    first, second = (event.progress for event in events[:2])
    assert (first.stage, first.done, first.total) == ("calibrate", 5, 50)
    assert (first.elapsed.seconds, first.remaining.seconds) == (1, 9)
    assert not second.HasField("remaining")
    assert events[2].result.version == "3"
    wanted = Quantization(
        preset="mixed", calibration_size=50, ignored_names=("conv",), ignored_types=("MatMul",),
        max_drop=0.0,
    )  # fmt: skip
    assert running.fake.requests == [
        DatasetOptimizeRequest("pet", Optimization.INT8, "3", "photos", "csv", wanted)
    ]


def test_hanging_up_ends_an_optimisation(running: Running) -> None:
    closed = threading.Event()

    def optimize(_: DatasetOptimizeRequest, call: Call) -> Iterator[OptimizeEvent]:
        try:
            yield OptimizeProgress("calibrate", 5, 50, 1.0, 9.0)
            call.cancelled.wait(30)
            call.check()
        finally:
            closed.set()

    running.fake.on_optimize = optimize
    stream = running.stub(model_pb2_grpc.ModelServiceStub).OptimizeModel(OPTIMIZE)
    next(stream)
    stream.cancel()
    assert closed.wait(10)


@pytest.mark.parametrize(
    ("settings", "field", "telling"),
    [
        ({}, "optimization", "OPTIMIZATION_INT8"),
        ({"optimization": 77}, "optimization", "OPTIMIZATION_FP16"),
        ({"optimization": 1, "preset": "mixd"}, "preset", "'mixed'"),
        ({"optimization": 1, "calibration_size": 3}, "calibration_size", "at least 10"),
        ({"optimization": 1, "max_accuracy_drop": -1.0}, "max_accuracy_drop", "from 0 on"),
    ],
)
def test_a_wrong_optimisation_is_refused(
    running: Running, settings: dict[str, Any], field: str, telling: str
) -> None:
    request = model_pb2.OptimizeModelRequest(model_name="pet", **settings)
    stub = running.stub(model_pb2_grpc.ModelServiceStub)
    error = refused(lambda: list(stub.OptimizeModel(request)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_of(error) == field
    assert telling in error.details()
