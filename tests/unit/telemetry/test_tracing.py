import math
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from pellucid_server.config import StartError, Tracing
from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.telemetry.tracing import open_tracer
from pellucid_server.telemetry.tracing.otel import MOST_SPANS, OpenTelemetry, TracedSpan

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{PARENT}-01"
METHOD = "pellucid.v1.InferenceService/Predict"
PEER = "ipv4:10.1.2.3:40000"
INTERNAL, INVALID_ARGUMENT = 13, 3


class Kept:
    """A tracer whose spans are kept here."""

    def __init__(self, **settings: float) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer = OpenTelemetry(Tracing(enabled=True, **settings), self.exporter)

    def call(self, *metadata: tuple[str, str | bytes], peer: str = PEER) -> TracedSpan:
        return self.tracer.call(METHOD, metadata, peer, time.monotonic())

    def spans(self) -> dict[str, ReadableSpan]:
        self.tracer.close()
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.tracer.close()


def facts(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_a_call_belongs_to_its_callers_trace(kept: Kept) -> None:
    call = kept.call(("traceparent", CALLER), ("tracestate", "vendor=1"))
    call.answered(0, None)
    assert call.trace_id == TRACE
    span = kept.spans()[METHOD]
    assert span.kind is SpanKind.SERVER
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "nonsense",
        "00-0-0-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        "x" * 9999,
    ],
)
def test_a_broken_context_begins_a_new_trace(kept: Kept, parent: str) -> None:
    call = kept.call(("traceparent", parent), ("tracestate", "=,=" * 999))
    call.answered(0, None)
    assert call.trace_id not in {"", TRACE}
    assert kept.spans()[METHOD].parent is None


def test_what_the_caller_left_out_is_left_out(kept: Kept) -> None:
    """The caller's trace is not sampled: nothing of the call is sent, but its id is known."""
    call = kept.call(("traceparent", CALLER[:-1] + "0"))
    call.record("queue", 0, 1)
    call.answered(INTERNAL, InferenceFailed("no"))
    assert call.trace_id == TRACE
    assert not kept.spans()


def test_a_share_of_nothing_samples_nothing() -> None:
    kept = Kept(sample=0)
    kept.call().answered(0, None)
    assert not kept.spans()


def test_a_call_is_described_by_the_conventions(kept: Kept) -> None:
    kept.call().answered(0, None, model="lite", inputs=2)
    assert facts(kept.spans()[METHOD]) == {
        "rpc.system": "grpc",
        "rpc.service": "pellucid.v1.InferenceService",
        "rpc.method": "Predict",
        "rpc.grpc.status_code": 0,
        "network.peer.address": "10.1.2.3",
        "network.peer.port": 40000,
        "pellucid.model": "lite",
        "pellucid.inputs": 2,
    }


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv6:[::1]:5", "::1"),
        ("ipv6:%5Bfe80::1%5D:5", "fe80::1"),
        ("unix:/run/a", None),
        ("", None),
    ],
)
def test_peers_of_every_kind(kept: Kept, peer: str, address: str | None) -> None:
    kept.call(peer=peer).answered(0, None)
    assert facts(kept.spans()[METHOD]).get("network.peer.address") == address


def test_parts_lie_in_the_call_whatever_the_clock_does(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's clock jumps by an hour during the call."""
    call = kept.call()
    start = time.monotonic()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    with call.child("request", id="a") as part:
        part.record("inference", start, time.monotonic(), device="CPU")
    call.answered(0, None)
    spans = kept.spans()
    request, inference, whole = spans["request"], spans["inference"], spans[METHOD]
    assert inference.parent == request.context
    assert request.parent == whole.context
    for inner, outer in ((inference, whole), (request, whole)):
        assert outer.start_time <= inner.start_time <= inner.end_time <= outer.end_time  # type: ignore[operator]  # they have ended
    assert facts(inference) == {"pellucid.device": "CPU"}


def test_no_thread_inherits_a_span(kept: Kept) -> None:
    """Spans are handed on by hand: none is current, here or in a thread that is started."""
    seen = []
    with kept.call().child("request"):
        thread = threading.Thread(target=lambda: seen.append(get_current_span().is_recording()))
        thread.start()
        thread.join()
        seen.append(get_current_span().is_recording())
    assert seen == [False, False]


def test_faults_of_the_server_are_errors_and_those_of_callers_are_not(kept: Kept) -> None:
    kept.call().answered(INVALID_ARGUMENT, InvalidInput("no image"))
    assert kept.spans()[METHOD].status.status_code is StatusCode.UNSET
    broken = Kept()
    broken.call().answered(INTERNAL, InferenceFailed("the device is gone"))
    span = broken.spans()[METHOD]
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "the device is gone"
    assert facts(span)["error.type"] == "InferenceFailed"


def test_what_is_unexpected_keeps_its_message_to_the_log(kept: Kept) -> None:
    """A message of a library may hold anything: a path, a secret."""
    kept.call().answered(INTERNAL, RuntimeError("password"))
    span = kept.spans()[METHOD]
    assert span.status.description is None
    assert "password" not in str(span.to_json())
    assert facts(span)["error.type"] == "RuntimeError"


def test_a_part_that_fails_is_an_error_and_the_error_goes_on(kept: Kept) -> None:
    with pytest.raises(InvalidInput), kept.call().child("request"):
        raise InvalidInput("no image")
    assert kept.spans()["request"].status.status_code is StatusCode.ERROR


def test_a_call_without_end_has_an_end_of_spans(kept: Kept) -> None:
    call = kept.call()
    for _ in range(MOST_SPANS + 5):
        call.record("masks", 0, 1)
    with call.child("request") as part:
        part.record("inference", 0, 1)
    call.answered(0, None)
    kept.tracer.close()
    spans = kept.exporter.get_finished_spans()
    assert len(spans) == MOST_SPANS + 1
    assert facts(spans[-1])["pellucid.spans_left_out"] == 7


def test_work_after_a_call_is_a_trace_of_its_own_with_a_link(kept: Kept) -> None:
    kept.tracer.background("evaluation chunk", CALLER, 1, 2, images=128)
    span = kept.spans()["evaluation chunk"]
    assert span.parent is None
    assert span.context.trace_id != int(TRACE, 16)
    assert [link.context.span_id for link in span.links] == [int(PARENT, 16)]


def test_work_that_nobody_traced_has_no_link(kept: Kept) -> None:
    kept.tracer.background("evaluation chunk", "", 1, 2)
    assert not kept.spans()["evaluation chunk"].links


def test_the_span_after_a_call_can_link_to_it(kept: Kept) -> None:
    call = kept.call()
    kept.tracer.background("evaluation chunk", call.parent, 1, 2)
    call.answered(0, None)
    spans = kept.spans()
    (link,) = spans["evaluation chunk"].links
    assert link.context.span_id == spans[METHOD].context.span_id


class Stuck(SpanExporter):
    """A collector that takes what it is sent, and never answers."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.exports = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.exports += bool(spans)
        self.closed.wait()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.closed.set()


def test_a_stuck_collector_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go on, what is kept for it is bounded, and the end is a matter of seconds."""
    monkeypatch.setattr("pellucid_server.telemetry.tracing.otel.FLUSH_SECONDS", 0.2)
    stuck = Stuck()
    tracer = OpenTelemetry(Tracing(enabled=True), stuck)
    for _ in range(20_000):
        tracer.call(METHOD, (), PEER, time.monotonic()).answered(0, None)
    tracer.close()
    assert 1 <= stuck.exports <= 10
    assert stuck.closed.is_set()


def test_names_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    kept.call().answered(0, None)
    assert kept.spans()[METHOD].resource.attributes["service.name"] == "pellucid"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "eyes")
    named = Kept()
    named.call().answered(0, None)
    assert named.spans()[METHOD].resource.attributes["service.name"] == "eyes"


def test_the_environment_says_what_the_settings_leave_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    unsaid, said = Kept(), Kept(sample=1)
    for kept in (unsaid, said):
        kept.call().answered(0, None)
    assert not unsaid.spans()
    assert said.spans()


def test_without_the_setting_nothing_is_traced() -> None:
    assert open_tracer(Tracing()) is None


def test_without_the_extra_the_error_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pellucid_server.telemetry.tracing.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartError, match=r"pip install 'pellucid\[server,tracing\]'"):
        open_tracer(Tracing(enabled=True))


def test_nan_facts_are_no_fault(kept: Kept) -> None:
    kept.call().answered(0, None, seconds=math.nan)
    assert METHOD in kept.spans()
