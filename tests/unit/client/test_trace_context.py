import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

from pellucid._transport.calls import Attempt
from pellucid._transport.channel import Endpoint
from pellucid._transport.retry import Tries
from pellucid._transport.trace_context import trace_context

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("caller")


def sent(attempt: Attempt) -> dict[str, str]:
    """The metadata of a call."""
    return dict(attempt.options()["metadata"])


def attempt(**metadata: str) -> Attempt:
    return Attempt(Endpoint("localhost:1", metadata=metadata), Tries(1, 1.0))


def test_a_call_carries_the_callers_span() -> None:
    with TRACER.start_as_current_span("work") as span:
        context = span.get_span_context()
        parent = sent(attempt())["traceparent"]
    assert parent.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


def test_the_state_of_a_trace_is_carried_too() -> None:
    context = SpanContext(1, 2, False, TraceFlags(1), TraceState([("vendor", "state")]))
    with use_span(NonRecordingSpan(context)):
        assert sent(attempt())["tracestate"] == "vendor=state"


def test_every_try_of_a_call_belongs_to_where_it_began() -> None:
    """A stream that starts anew may do so elsewhere in the program."""
    with TRACER.start_as_current_span("work"):
        call = attempt()
        first = sent(call)
    assert sent(call)["traceparent"] == first["traceparent"]


def test_without_a_span_nothing_is_added() -> None:
    assert trace_context() == ()
    assert set(sent(attempt())) == {"x-request-id"}


def test_what_the_caller_sets_itself_is_left_alone() -> None:
    with TRACER.start_as_current_span("work"):
        call = attempt(traceparent="mine")
    assert [value for key, value in call.options()["metadata"] if key == "traceparent"] == ["mine"]


def test_a_program_without_the_library_is_not_made_to_load_it() -> None:
    """The client has no such dependency, and does not look for one."""
    program = (
        "import sys; from pellucid._transport.trace_context import trace_context;"
        "assert trace_context() == (); import pellucid; pellucid.Client('localhost:1').close();"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_halted_import_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    assert trace_context() == ()
