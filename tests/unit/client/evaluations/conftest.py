"""A server of evaluations that answers from a script, beside the one of predictions."""

import hashlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from PIL import Image

from pellucid.v1 import (
    common_pb2,
    evaluation_pb2,
    evaluation_pb2_grpc,
    explanation_pb2_grpc,
    inference_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
)

EVIL = "</script><img src=x onerror=alert(1)>"
NAMES = ("cat", "dog", EVIL)
PAGE = 40


def category(class_id: int, confidence: float = 0.5) -> common_pb2.Category:
    return common_pb2.Category(class_id=class_id, label=NAMES[class_id], confidence=confidence)


def accepted(request: Any, state: str = "RUNNING") -> evaluation_pb2.Evaluation:
    found = evaluation_pb2.Evaluation(
        name="ev-1",
        state=evaluation_pb2.EvaluationState.Value(f"EVALUATION_STATE_{state}"),
        request=request,
        total=100,
        done=100,
        model_version="3",
        precision="f32",
        dataset_digest="ab" * 32,
        task=common_pb2.TASK_CLASSIFICATION,
    )
    found.request.dataset_format = "imagenet"
    found.create_time.FromSeconds(1_700_000_000)
    found.end_time.FromSeconds(1_700_000_090)
    return found


def progress(done: int) -> evaluation_pb2.EvaluationProgress:
    found = evaluation_pb2.EvaluationProgress(
        done=done,
        total=100,
        images_per_second=50,
        metrics=[evaluation_pb2.Metric(name="top_1", value=0.75)],
    )
    found.elapsed.FromSeconds(1)
    found.remaining.FromSeconds(2)
    return found


def report() -> evaluation_pb2.EvaluationReport:
    """100 images of three classes, 98 judged; one name is hostile."""
    metric, confusion = evaluation_pb2.Metric, evaluation_pb2.Confusion
    counts = [(0, 0, 40), (0, 1, 8), (1, 0, 3), (1, 1, 30), (2, 2, 15), (2, 0, 2)]
    histogram = [evaluation_pb2.Curve(name="scores", label=name) for name in ("correct", "wrong")]
    for curve in histogram:
        curve.x.extend(each / 20 for each in range(20))
        curve.counts.extend(range(20) if curve.label == "correct" else range(20, 0, -1))
        curve.y.extend(curve.counts)
    return evaluation_pb2.EvaluationReport(
        metrics=[
            metric(name="top_1", value=0.875),
            metric(name="ece", value=0.042),
            metric(name="psnr", value=31.5, unit="dB"),
            metric(name="new_one", value=3),
        ],
        classes=[
            evaluation_pb2.ClassReport(
                category=category(index, 0.8),
                precision=0.9,
                recall=0.8 - index / 10,
                f1=0.85 - index / 10,
                support=48 - 15 * index,
                metrics=[metric(name="ap", value=0.7)] if index else [],
            )
            for index in range(3)
        ],
        confusions=[
            confusion(annotated_class_id=one, predicted_class_id=other, count=count)
            for one, other, count in counts
        ],
        images=98,
        bad_annotations=2,
        curves=[
            evaluation_pb2.Curve(
                name="reliability", x=[0.1, 0.5, 0.9], y=[0.2, 0.4, 0.95], counts=[10, 20, 68]
            ),
            evaluation_pb2.Curve(name="precision_recall", label="", x=[0, 0.5, 1], y=[1, 0.9, 0.4]),
            evaluation_pb2.Curve(
                name="precision_recall", label=EVIL, x=[0, 0.5, 1], y=[1, 0.7, 0.2]
            ),
            *histogram,
        ],
        images_per_second=50,
    )


def rows() -> list[evaluation_pb2.Example]:
    """98 judged ones, every seventh wrong, and two whose annotation is bad."""
    judged = [
        evaluation_pb2.Example(
            path=f"cat/{index:03}.jpg",
            predicted=category(1 if index % 7 == 0 else 0, 0.5 + index / 250),
            annotated=category(0, index / 200),
            rank=2 if index % 7 == 0 else 1,
            correct=index % 7 != 0,
            score=index / 200,
            index=index,
            annotation_location=f"val.txt:{index + 1}",
        )
        for index in range(98)
    ]
    bad = [
        evaluation_pb2.Example(
            path=f"{EVIL}/{index}.jpg",
            index=index,
            reason="there is no class 'zebra'",
            annotation_location=f"val.txt:{index + 1}",
        )
        for index in (98, 99)
    ]
    return [*judged, *bad]


def detected() -> list[evaluation_pb2.Example]:
    """Two images, the first with two objects, one of them of a class without annotations."""
    size = common_pb2.ImageSize(width=4, height=3)
    objects = [
        evaluation_pb2.ExampleObject(
            category=category(index, 0.75),
            box=common_pb2.Box(x_min=1, y_min=0, x_max=3, y_max=2),
            mask_counts="31225",
            mask_size=size,
        )
        for index in (1, 2)
    ]
    return [
        evaluation_pb2.Example(path="val/a.jpg", index=0, score=0.5, objects=objects),
        evaluation_pb2.Example(path="val/b.jpg", index=1, score=1, correct=True),
    ]


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 120, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def compared() -> evaluation_pb2.CompareEvaluationsResponse:
    """A candidate twice as fast and a quarter of the size, a little worse."""
    nan = float("nan")
    delta = evaluation_pb2.MetricDelta
    response = evaluation_pb2.CompareEvaluationsResponse(
        deltas=[
            delta(name="top_1", delta=-0.02, low=-0.035, high=-0.005, baseline=0.9, candidate=0.88),
            delta(name="map", delta=0.01, low=nan, high=nan, baseline=0.5, candidate=0.51),
        ],
        became_wrong=3,
        became_right=1,
        only_baseline=2,
        differing_digests=4,
        images=98,
        disagreements=5,
        flips=[
            evaluation_pb2.Flip(
                path="cat/001.jpg",
                index=1,
                baseline=category(0, 0.9),
                candidate=category(2, 0.8),
                annotated=category(0),
                kind=evaluation_pb2.FLIP_KIND_BECAME_WRONG,
            ),
            evaluation_pb2.Flip(path="cat/002.jpg", index=2, candidate=category(1, 0.7)),
        ],
        confidence_shift=delta(
            name="confidence", delta=-0.01, low=-0.02, high=0.001, baseline=0.8, candidate=0.79
        ),
        baseline=evaluation_pb2.ComparedModel(
            model_name="lights", model_version="1", precision="f32", size_bytes=20_000_000
        ),
        candidate=evaluation_pb2.ComparedModel(
            model_name="lights", model_version="2", precision="int8", size_bytes=5_000_000
        ),
        map_correlations=[
            evaluation_pb2.MapCorrelation(
                path=f"cat/{index:03}.jpg", index=index, category=category(0), correlation=value
            )
            for index, value in enumerate((0.99, 0.9, 0.5))
        ],
    )
    response.baseline.inference_time.FromMilliseconds(10)
    response.candidate.inference_time.FromMilliseconds(5)
    return response


def evaluated(request: Any, _context: Any = None) -> Iterator[Any]:
    """Accepted, halfway, done, report."""
    event = evaluation_pb2.EvaluateDatasetResponse
    yield event(accepted=accepted(request))
    yield event(progress=progress(50))
    yield event(progress=progress(100))
    yield event(report=report())


def optimized(_request: Any, _context: Any = None) -> Iterator[Any]:
    event = model_pb2.OptimizeModelResponse
    for done in (1, 2):
        yield event(progress=model_pb2.OptimizeProgress(stage="calibrate", done=done, total=2))
    version = model_pb2.ModelVersion(
        version="4", state=model_pb2.MODEL_STATE_READY, precision="int8", size_bytes=5_000_000
    )
    version.lineage.parent_version = "3"
    version.lineage.optimization = model_pb2.OPTIMIZATION_INT8
    version.lineage.settings["preset"] = "mixed"
    version.lineage.create_time.FromSeconds(1_700_000_000)
    yield event(result=version)


Events = Callable[[Any, Any], Iterator[Any]]


@dataclass
class Evaluations(evaluation_pb2_grpc.EvaluationServiceServicer):
    """Answers from a script, keeps what is uploaded, and remembers what it was asked."""

    evaluate: Events = evaluated
    optimize: Events = optimized
    watch: Events | None = None
    state: str = "SUCCEEDED"
    reason: str = ""
    breaks: list[int] = field(default_factory=list)
    """Of every upload that is to break: after how many chunks."""
    has_report: bool = True
    refuse: Callable[[Any, Any], Any] | None = None
    """In place of taking an upload."""
    render: Callable[[Any, Any], bytes] = lambda _request, _context: jpeg()
    compare: Callable[[], Any] = compared
    report: Callable[[], Any] = report
    rows: list[Any] = field(default_factory=rows)
    requests: list[Any] = field(default_factory=list)
    files: dict[bytes, bytearray] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)

    def asked(self, kind: type[Any]) -> list[Any]:
        """The requests of one kind."""
        return [each for each in self.requests if isinstance(each, kind)]

    def EvaluateDataset(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - the contract's
        self.requests.append(request)
        yield from self.evaluate(request, context)

    def WatchEvaluation(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.requests.append(request)
        for each in (self.watch or evaluated)(self._first(), context):
            yield evaluation_pb2.WatchEvaluationResponse.FromString(each.SerializeToString())

    def CancelEvaluation(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        self.requests.append(request)
        self.state = "CANCELLED"
        return evaluation_pb2.CancelEvaluationResponse(evaluation=self._found())

    def GetEvaluation(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        if request.evaluation not in {"ev-1", "ev-2"}:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no evaluation {request.evaluation!r}")
        done = self.state == "SUCCEEDED" and self.has_report
        return evaluation_pb2.GetEvaluationResponse(
            evaluation=self._found(), report=self.report() if done else None
        )

    def ListEvaluations(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        self.requests.append(
            evaluation_pb2.ListEvaluationsRequest.FromString(request.SerializeToString())
        )
        second = bool(request.page_token)
        found = self._found()
        found.name = "ev-2" if second else "ev-1"
        return evaluation_pb2.ListEvaluationsResponse(
            evaluations=[found], next_page_token="" if second else "more"
        )

    def DeleteEvaluation(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        self.requests.append(request)
        return evaluation_pb2.DeleteEvaluationResponse()

    def CompareEvaluations(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        self.requests.append(request)
        return self.compare()

    def ListExamples(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        self.requests.append(request)
        found = [
            each
            for each in self.rows
            if bool(each.reason) == request.bad_annotation
            and not (request.erroneous and each.correct)
        ]
        if request.order == evaluation_pb2.EXAMPLE_ORDER_SCORE:
            found.sort(key=lambda each: each.score)
        first = int(request.page_token or 0)
        last = first + min(request.page_size or PAGE, PAGE)
        token = str(last) if last < len(found) else ""
        return evaluation_pb2.ListExamplesResponse(
            examples=found[first:last], next_page_token=token
        )

    def RenderExample(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        return evaluation_pb2.RenderExampleResponse(
            picture=self.render(request, context), example=self.rows[request.index]
        )

    def OptimizeModel(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield from self.optimize(request, context)

    def FindUploadedFiles(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        del context
        received = [len(self.files.get(each.file.sha256, b"")) for each in request_iterator]
        return evaluation_pb2.FindUploadedFilesResponse(received_bytes=received)

    def UploadDataset(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        if self.refuse:
            return self.refuse(request_iterator, context)
        limit = self.breaks.pop(0) if self.breaks else None
        self.chunks.append(0)
        named: list[Any] = []
        for part in request_iterator:
            if part.HasField("file"):
                named.append(part.file)
                kept = self.files.setdefault(part.file.sha256, bytearray())
                assert len(kept) == part.file.offset
                continue
            if self.chunks[-1] == limit:
                context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
            self.files[named[-1].sha256] += part.chunk
            self.chunks[-1] += 1
        return self._committed(named, context)

    def _committed(self, named: list[Any], context: Any) -> Any:
        digest = hashlib.sha256()
        for each in named:
            content = bytes(self.files[each.sha256])
            if len(content) != each.size or hashlib.sha256(content).digest() != each.sha256:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{each.path} is not whole")
            digest.update(each.path.encode() + each.sha256)
        self.requests.append(named)
        response = evaluation_pb2.UploadDatasetResponse(
            dataset=f"uploads/{digest.hexdigest()}",
            files=len(named),
            bytes=sum(each.size for each in named),
        )
        response.expire_time.FromSeconds(1_800_000_000)
        return response

    def _first(self) -> Any:
        found = self.asked(evaluation_pb2.EvaluateDatasetRequest)
        return found[0] if found else evaluation_pb2.EvaluateDatasetRequest(model_name="lights")

    def _found(self) -> Any:
        found = accepted(self._first(), self.state)
        found.reason = self.reason
        return found


@pytest.fixture
def evaluations() -> Evaluations:
    return Evaluations()


@pytest.fixture
def target(fake: Any, evaluations: Evaluations) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    fake.OptimizeModel = evaluations.OptimizeModel
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(fake, server)
    explanation_pb2_grpc.add_ExplanationServiceServicer_to_server(fake, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(evaluations, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None).wait()


@pytest.fixture
def rows_of_objects() -> list[evaluation_pb2.Example]:
    return detected()
