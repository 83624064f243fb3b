"""Spans by OpenTelemetry, sent by OTLP over gRPC: the extra `tracing`."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from urllib.parse import unquote

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import (
    Link,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pellucid_server.config import Tracing
from pellucid_server.errors import PellucidError
from pellucid_server.telemetry.tracing import Metadata

NAME = "pellucid"
VERSION = version(NAME)
MOST_SPANS = 512
"""Of one call, beside its own; a long stream or explanation has more, which are only counted."""
LONGEST_TEXT = 1024
"""Characters of an attribute."""
FLUSH_SECONDS = 3.0
SERVER_FAULTS = frozenset({2, 4, 12, 13, 14, 15})
"""Codes of gRPC that are the server's fault, by OpenTelemetry's conventions for servers."""
CONTEXT = ("traceparent", "tracestate")
W3C = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Begins spans and sends them in the background; what a slow collector leaves is dropped."""

    def __init__(self, settings: Tracing, exporter: SpanExporter | None = None) -> None:
        # A collector that is away would fill the log with its every retry.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        self._exporter = exporter or OTLPSpanExporter(endpoint=settings.endpoint)
        self._provider = TracerProvider(
            sampler=None if settings.sample is None else ParentBasedTraceIdRatio(settings.sample),
            resource=_resource(),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=LONGEST_TEXT),
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(NAME, VERSION)

    def call(self, method: str, metadata: Metadata, peer: str, started: float) -> "TracedSpan":
        carrier = {key: value for key, value in metadata if key in CONTEXT}
        service, _, name = method.rpartition("/")
        facts = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name, **_address(peer)}
        clock = Clock()
        span = self._tracer.start_span(
            method,
            W3C.extract(carrier),
            SpanKind.SERVER,
            attributes=facts,
            start_time=clock.at(started),
        )
        return TracedSpan(self._tracer, span, clock, Room())

    def background(
        self,
        name: str,
        link: str,
        start: float,
        end: float,
        error: BaseException | None = None,
        **facts: str | float,
    ) -> None:
        clock = Clock()
        caller = get_current_span(W3C.extract({CONTEXT[0]: link})).get_span_context()
        span = self._tracer.start_span(
            name,
            Context(),
            links=[Link(caller)] if caller.is_valid else [],
            attributes=_named(facts),
            start_time=clock.at(start),
        )
        TracedSpan(self._tracer, span, clock, Room()).end(end, error)

    def close(self) -> None:
        # Without a collector the exporter would go on trying for half a minute.
        hurry = threading.Timer(FLUSH_SECONDS, self._exporter.shutdown)
        hurry.daemon = True
        hurry.start()
        self._provider.shutdown()
        hurry.cancel()


class Clock:
    """Turns `time.monotonic` into nanoseconds since 1970, as they were when the call began.

    All spans of a call share one: a clock of the machine that jumps does not bend them.
    """

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def at(self, seconds: float) -> int:
        """A time as OpenTelemetry has it."""
        return self._offset + round(seconds * 1e9)


class Room:
    """How many spans a call may still have; safe in several threads."""

    def __init__(self) -> None:
        self._taken = count()
        self.left_out = 0

    def take(self) -> bool:
        """Whether there is room for another."""
        taken = next(self._taken)
        self.left_out = max(taken + 1 - MOST_SPANS, 0)
        return taken < MOST_SPANS


class TracedSpan:
    """A span, and its children; none of them is current anywhere, so no thread inherits one."""

    def __init__(self, tracer: Tracer, span: OtelSpan, clock: Clock, room: Room) -> None:
        self._tracer = tracer
        self._span = span
        self._clock = clock
        self._room = room
        self._context = set_span_in_context(span, Context())

    @property
    def trace_id(self) -> str:
        context = self._span.get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else ""

    @property
    def parent(self) -> str:
        context = self._span.get_span_context()
        ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
        return f"00-{ids}-{context.trace_flags:02x}"

    def record(
        self,
        name: str,
        start: float,
        end: float,
        error: BaseException | None = None,
        **facts: str | float,
    ) -> None:
        if self._span.is_recording() and self._room.take():
            self._begin(name, start, facts).end(end, error)

    @contextmanager
    def child(self, name: str, **facts: str | float) -> Iterator["TracedSpan"]:
        if not (self._span.is_recording() and self._room.take()):
            yield self
            return
        span = self._begin(name, time.monotonic(), facts)
        error: BaseException | None = None
        try:
            yield span
        except BaseException as caught:
            error = caught
            raise
        finally:
            span.end(time.monotonic(), error)

    def end(self, at: float, error: BaseException | None = None, **facts: str | float) -> None:
        self._span.set_attributes(_named(facts))
        if error is not None:
            self._fail(error)
        self._span.end(self._clock.at(at))

    def answered(self, code: int, error: BaseException | None, **facts: str | float) -> None:
        self._span.set_attribute("rpc.grpc.status_code", code)
        if self._room.left_out:
            facts["spans_left_out"] = self._room.left_out
        fault = error if code in SERVER_FAULTS else None
        self.end(time.monotonic(), fault, **facts)

    def _begin(self, name: str, start: float, facts: dict[str, str | float]) -> "TracedSpan":
        span = self._tracer.start_span(
            name, self._context, attributes=_named(facts), start_time=self._clock.at(start)
        )
        return TracedSpan(self._tracer, span, self._clock, self._room)

    def _fail(self, error: BaseException) -> None:
        """What callers may see; of anything else the log has the message."""
        told = error.message if isinstance(error, PellucidError) else None
        self._span.set_attribute("error.type", type(error).__qualname__)
        self._span.set_status(StatusCode.ERROR, told)


def _named(facts: dict[str, str | float]) -> dict[str, str | float]:
    return {f"{NAME}.{name}": value for name, value in facts.items()}


def _resource() -> Resource:
    """Of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, where they say."""
    given = Resource.create({SERVICE_VERSION: VERSION})
    unnamed = str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given.merge(Resource({SERVICE_NAME: NAME})) if unnamed else given


def _address(peer: str) -> dict[str, str | int]:
    """Of gRPC's `ipv4:10.0.0.1:5000` or `ipv6:[::1]:5000`, percent-encoded or not."""
    family, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if family not in {"ipv4", "ipv6"} or not port.isdecimal():
        return {}
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}
