"""A traced server and a collector: what is told of calls, and by whom they were caused."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collector_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as collector_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider

import pellucid
from pellucid.v1.model_pb2 import ListModelsRequest
from pellucid.v1.model_pb2_grpc import ModelServiceStub

from .conftest import write_classifier, write_noise

PATIENCE = 30
IMAGES, MASKS = 20, 500
TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("the caller")
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)


@dataclass
class Collector(collector_grpc.TraceServiceServicer):
    """Takes what the server exports; the tests ask it for the spans of a trace."""

    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def Export(  # noqa: N802 - named by the proto
        self, request: collector_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> collector_pb2.ExportTraceServiceResponse:
        del context
        for each in request.resource_spans:
            self.services.add(facts(each.resource)["service.name"])
            for scope in each.scope_spans:
                self.spans += scope.spans
        return collector_pb2.ExportTraceServiceResponse()

    def trace(self, trace_id: int) -> "Trace":
        """All of a trace, once the span of its call has arrived."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            spans = [each for each in self.spans if int.from_bytes(each.trace_id) == trace_id]
            if any(each.kind == Span.SPAN_KIND_SERVER for each in spans):
                return Trace(spans)
            time.sleep(0.02)
        raise AssertionError("the span of the call did not arrive")


@dataclass(frozen=True)
class Trace:
    """The server's spans of one trace."""

    spans: list[Span]

    @property
    def call(self) -> Span:
        (call,) = (each for each in self.spans if each.kind == Span.SPAN_KIND_SERVER)
        return call

    def below(self, parent: Span, name: str = "") -> list[Span]:
        """The children of a span, of a name where one is given."""
        children = (each for each in self.spans if each.parent_span_id == parent.span_id)
        return [each for each in children if name in {"", each.name}]


def facts(of: Any) -> dict[str, Any]:
    """Attributes of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A collector and its address."""
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(4))
    collector_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated without types
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="module")
def spans(collector: tuple[Collector, str]) -> Collector:
    return collector[0]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("traced") / "models"
    return write_classifier(root, "net", side=32, layers=3, channels=8)


@pytest.fixture(scope="module")
def server(
    serve: Callable[..., Any],
    collector: tuple[Collector, str],
    models: Path,
) -> Any:
    write_noise(models.parent / "set", IMAGES, 32)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        environment.setenv("OTEL_SERVICE_NAME", "eyes")
        return serve(
            models,
            "--tracing-enabled=true",
            f"--tracing-endpoint={collector[1]}",
            f"--data-roots={models.parent}",
        )


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[pellucid.Client]:
    with pellucid.Client(server.target) as client:
        yield client


@contextmanager
def caller() -> Iterator[int]:
    """A span of the caller's own; the id of its trace."""
    with TRACER.start_as_current_span("caller") as span:
        yield span.get_span_context().trace_id


def assert_within(inner: Span, outer: Span) -> None:
    assert outer.start_time_unix_nano <= inner.start_time_unix_nano
    assert inner.start_time_unix_nano <= inner.end_time_unix_nano <= outer.end_time_unix_nano


def test_a_prediction_is_told_from_queue_to_response(
    client: pellucid.Client, spans: Collector
) -> None:
    """The caller's span is the parent of the call's, and that of all its parts, in their order."""
    with TRACER.start_as_current_span("caller") as mine:
        client.predict(PHOTO, model="net")
    trace = spans.trace(mine.get_span_context().trace_id)
    call = trace.call
    assert int.from_bytes(call.parent_span_id) == mine.get_span_context().span_id
    assert call.name == "pellucid.v1.InferenceService/Predict"
    told = facts(call)
    assert told["rpc.system"] == "grpc"
    assert told["rpc.service"] == "pellucid.v1.InferenceService"
    assert (told["rpc.method"], told["rpc.grpc.status_code"]) == ("Predict", 0)
    assert (told["pellucid.model"], told["pellucid.version"]) == ("net", "1")
    parts = sorted(trace.below(call), key=lambda span: span.start_time_unix_nano)
    names = [part.name for part in parts]
    assert names == ["prepare", "queue", "inference", "postprocess", "response"]
    for part in parts:
        assert_within(part, call)
    for before, after in pairwise(parts):
        assert before.end_time_unix_nano <= after.start_time_unix_nano
    _, queue, inference, *_ = map(facts, parts)
    assert queue == {"pellucid.priority": "interactive", "pellucid.tenant": ""}
    assert inference == {
        "pellucid.model": "net",
        "pellucid.version": 1,
        "pellucid.device": "CPU",
        "pellucid.precision": "f32",
        "pellucid.images": 1,
    }
    assert spans.services == {"eyes"}


def test_the_log_names_the_trace(server: Any, client: pellucid.Client) -> None:
    with caller() as trace_id:
        client.models()
    lines = [event for event in server.events() if event["event"] == "call"]
    assert lines[-1]["trace_id"] == f"{trace_id:032x}"


def test_a_caller_without_a_library_sends_a_header(server: Any, spans: Collector) -> None:
    """Anything that writes W3C Trace Context takes part; its state is handed on."""
    trace_id, parent = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
    metadata = (
        ("traceparent", f"00-{trace_id:032x}-{parent:016x}-01"),
        ("tracestate", "vendor=state"),
    )
    with grpc.insecure_channel(server.target) as channel:
        ModelServiceStub(channel).ListModels(ListModelsRequest(), metadata=metadata)
    call = spans.trace(trace_id).call
    assert int.from_bytes(call.parent_span_id) == parent
    assert call.trace_state == "vendor=state"


def test_calls_at_once_do_not_mix(client: pellucid.Client, spans: Collector) -> None:
    """Their inferences share the threads of the device, and stay in their own traces."""

    def call(images: int) -> tuple[int, int]:
        with caller() as trace_id:
            client.predict([PHOTO] * images, model="net")
        return trace_id, images

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(call, [1, 2, 3, 4] * 4))
    for trace_id, images in done:
        trace = spans.trace(trace_id)
        assert len(trace.below(trace.call, "inference")) == images
        assert len(trace.spans) == 4 * images + 2


def test_a_refusal_is_told_and_is_no_fault_of_the_server(
    client: pellucid.Client, spans: Collector
) -> None:
    with caller() as trace_id, pytest.raises(pellucid.InvalidArgumentError):
        client.predict(b"no image", model="net")
    call = spans.trace(trace_id).call
    assert facts(call)["rpc.grpc.status_code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert call.status.code == Status.STATUS_CODE_UNSET


def test_an_explanation_is_told_by_the_round(client: pellucid.Client, spans: Collector) -> None:
    with caller() as trace_id:
        client.explain(PHOTO, model="net", num_masks=MASKS).result()
    trace = spans.trace(trace_id)
    rounds = trace.below(trace.call, "masks")
    assert sum(facts(each)["pellucid.masks"] for each in rounds) == MASKS
    assert len(trace.spans) < MASKS / 5
    for each in rounds:
        assert_within(each, trace.call)


def test_what_took_too_long_is_an_error(client: pellucid.Client, spans: Collector) -> None:
    with caller() as trace_id, pytest.raises(pellucid.DeadlineExceededError):
        client.explain(PHOTO, model="net", num_masks=1_000_000, timeout=0.5).result()
    call = spans.trace(trace_id).call
    assert facts(call)["rpc.grpc.status_code"] == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert call.status.code == Status.STATUS_CODE_ERROR


def test_each_request_of_a_stream_has_its_own_parts(
    client: pellucid.Client, spans: Collector
) -> None:
    with caller() as trace_id:
        outcomes = list(client.predict_many([PHOTO, b"no image", PHOTO], model="net"))
    assert [outcome.error is None for outcome in outcomes].count(False) == 1
    trace = spans.trace(trace_id)
    requests = trace.below(trace.call, "request")
    inferences = [len(trace.below(each, "inference")) for each in requests]
    errors = [each.status.code == Status.STATUS_CODE_ERROR for each in requests]
    assert sorted(zip(inferences, errors, strict=True)) == [(0, True), (1, False), (1, False)]


def test_an_evaluation_is_told_by_the_chunk(client: pellucid.Client, spans: Collector) -> None:
    """It may outlive the call: each chunk is a trace of its own, with a link to the call."""
    with caller() as trace_id:
        client.evaluate("set", model="net").result()
    call = spans.trace(trace_id).call
    until = time.monotonic() + PATIENCE
    chunks: list[Span] = []
    while sum(facts(each)["pellucid.images"] for each in chunks) < IMAGES:
        assert time.monotonic() < until
        time.sleep(0.02)
        links = [(each, link) for each in list(spans.spans) for link in each.links]
        chunks = [each for each, link in links if link.span_id == call.span_id]
    assert {each.name for each in chunks} == {"evaluation chunk"}
    assert all(each.trace_id != call.trace_id and not each.parent_span_id for each in chunks)


def test_without_a_collector_calls_go_on_and_the_server_ends(
    serve: Callable[..., Any], models: Path
) -> None:
    """Nobody listens where spans are to go: no call is slower for it, and SIGTERM is heeded."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        server = serve(models, "--tracing-enabled=true", f"--tracing-endpoint={nobody}")
        with pellucid.Client(server.target) as client:
            for _ in range(50):
                client.predict(PHOTO, model="net")
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < PATIENCE / 2
