"""The trace that the caller is in, where its program uses OpenTelemetry: nothing here needs it."""

import sys

PARENT = "traceparent"


def trace_context() -> tuple[tuple[str, str], ...]:
    """The caller's span as W3C Trace Context, for a call's metadata; empty where there is none."""
    if sys.modules.get("opentelemetry.trace") is None:
        return ()
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # there already
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return tuple(carrier.items())
