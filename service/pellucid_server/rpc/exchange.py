"""One call from arrival to status: its id and deadline, its log line, its metrics."""

import math
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import structlog

from pellucid_server.call import Call
from pellucid_server.config import Limits
from pellucid_server.errors import Cancelled
from pellucid_server.rpc.access.access import Access
from pellucid_server.rpc.access.identity import NOBODY, Caller
from pellucid_server.rpc.admission import Admission, Room
from pellucid_server.rpc.departure import Departure
from pellucid_server.rpc.sampler import Sampler
from pellucid_server.rpc.status import code_of
from pellucid_server.telemetry.logs import NO_CALL, OF_CALL
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.telemetry.tracing import CallSpan, Metadata, Tracer

REQUEST_ID = "x-request-id"
SANE_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
ID_BYTES = 16
TENANT = "x-pellucid-tenant"
SANE_TENANT = re.compile(r"[\w.:/+@-]{1,64}", re.ASCII)
THINNED = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
)
"""Calls are refused so by the thousand, by a busy server or a stranger's; one line a second tells
of them."""
LONGEST_DEADLINE = 10 * 365 * 24 * 3600.0
"""Seconds; gRPC reports a call without a deadline as one of centuries."""


@dataclass
class Exchange:
    """A call and what is told of it in the log: servicers fill in the latter."""

    call: Call
    method: str
    peer: str
    stream: bool = False
    metadata: Metadata = ()
    span: CallSpan | None = None
    """Set where calls are traced."""
    model: str = ""
    """Only names of models that exist: it becomes a metric's label."""
    version: str = ""
    facts: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    caller: Caller = NOBODY
    refusal: Exception | None = None
    """Why the call may not be done; known before its message is read."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def raise_refusal(self) -> None:
        """Raises it, if there is one."""
        if self.refusal:
            raise self.refusal

    @property
    def seconds(self) -> float:
        """Since the call arrived."""
        return time.monotonic() - self.started

    def add(self, **facts: float) -> None:
        """Adds to what is told, from whatever thread."""
        with self._lock:
            for name, value in facts.items():
                self.facts[name] = self.facts.get(name, 0) + value


class Observer:
    """Admits calls, and logs and counts each of them once."""

    def __init__(
        self,
        metrics: Metrics,
        limits: Limits,
        rooms: Mapping[str, Room],
        access: Access,
        tracer: Tracer | None = None,
    ) -> None:
        self._metrics = metrics
        self.access = access
        self._tracer = tracer
        self.admission = Admission(limits, metrics, rooms)
        self.departure = Departure()
        self._refused = Sampler()
        self._log = structlog.get_logger("pellucid_server.rpc").bind()

    @contextmanager
    def observe(self, exchange: Exchange) -> Iterator[None]:
        """Runs a call: whatever way it ends is logged, counted and let through.

        Raises:
            Overloaded: too many calls run already, or this tenant's part of them.
            PellucidError: why `identify` refused it.
        """
        running = self._metrics.in_flight.labels(exchange.method)
        running.inc()
        OF_CALL.set(self._begin(exchange))
        let_in, stream = None, exchange.stream
        error: BaseException | None = None
        try:
            exchange.raise_refusal()
            self.admission.enter(exchange.method, exchange.call, stream=stream)
            let_in = exchange.call
            self.departure.begin(let_in)
            yield
        except BaseException as caught:
            error = exchange.call.reason_of(caught)
            if error is caught:
                raise
            raise error from caught
        finally:
            if let_in is not None:
                self.departure.end(let_in)
                self.admission.leave(exchange.method, let_in, stream=stream)
            running.dec()
            self._report(exchange, error)
            OF_CALL.set(NO_CALL)

    def identify(self, exchange: Exchange, context: grpc.ServicerContext) -> None:
        """Notes who calls, or why the call is refused, which `observe` says."""
        claimed, proven = exchange.call.tenant, ""
        try:
            exchange.caller = self.access.admit(exchange.method, context, claimed or None)
            proven = exchange.caller.tenant
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody is let in by it
            exchange.refusal = error
        if proven != claimed:
            exchange.call = replace(exchange.call, tenant=proven)

    def report_item(self, exchange: Exchange, error: Exception) -> None:
        """Notes the failure of one request of a stream that goes on."""
        exchange.add(errors=1)
        self._count_refusal(exchange, error)
        if code_of(error) is grpc.StatusCode.INTERNAL:
            request_id = exchange.call.request_id
            self._log.error("request of a stream", request_id=request_id, exc_info=error)

    def _begin(self, exchange: Exchange) -> dict[str, str]:
        """What all log lines of a call share; begins its span where calls are traced."""
        ids = {"request_id": exchange.call.request_id}
        if self._tracer is None:
            return ids
        arrived = exchange.method, exchange.metadata, exchange.peer, exchange.started
        exchange.span = span = self._tracer.call(*arrived)
        exchange.call = replace(exchange.call, span=span)
        return {**ids, "trace_id": span.trace_id}

    def _count_refusal(self, exchange: Exchange, error: BaseException | None) -> str:
        reason = getattr(error, "reason", "")
        if reason:
            self._metrics.refusals.labels(exchange.method, reason).inc()
        return str(reason)

    def _report(self, exchange: Exchange, error: BaseException | None) -> None:
        status = _status(exchange, error)
        method, model = exchange.method, exchange.model
        reason = self._count_refusal(exchange, error)
        if exchange.span is not None:
            exchange.span.answered(
                status.value[0],
                error,
                request_id=exchange.call.request_id,
                tenant=exchange.call.tenant,
                model=model,
                version=exchange.version,
                **exchange.facts,
            )
        code, seconds = status.name, exchange.seconds
        self._metrics.requests.labels(method, model, code).inc()
        outcome = "success" if status is grpc.StatusCode.OK else "failure"
        self._metrics.request_seconds.labels(method, model, outcome).observe(seconds)
        thinned = reason and status in THINNED
        missed = self._refused.missed(method, reason) if thinned else 0
        if missed is None:
            return
        facts: dict[str, Any] = {
            "request_id": exchange.call.request_id,
            **({"trace_id": exchange.span.trace_id} if exchange.span else {}),
            "method": method,
            "model": model,
            "version": exchange.version,
            "tenant": exchange.call.tenant,
            "status": code,
            "seconds": round(seconds, 6),
            **{name: round(value, 6) for name, value in exchange.facts.items()},
            "peer": exchange.peer,
            **({"refused": reason, "refused_unlogged": missed} if reason else {}),
        }
        if status is grpc.StatusCode.INTERNAL:
            self._log.error("call", exc_info=error, **facts)
        elif error is None or status is grpc.StatusCode.CANCELLED:
            self._log.info("call", **facts)
        else:
            self._log.warning("call", error=str(error), **facts)


def open_exchange(method: str, context: grpc.ServicerContext, *, stream: bool) -> Exchange:
    """Takes up a call and tells the caller its id: of a stream at once, else with the answer."""
    sent, peer = context.invocation_metadata(), context.peer()
    exchange = Exchange(_open_call(context, sent), method, peer, stream, sent)
    metadata = ((REQUEST_ID, exchange.call.request_id),)
    if not stream:  # a message less on the wire
        context.set_trailing_metadata(metadata)
        return exchange
    with suppress(grpc.RpcError):  # the caller hung up already: `call` knows
        context.send_initial_metadata(metadata)
    return exchange


def _open_call(context: grpc.ServicerContext, metadata: Metadata) -> Call:
    """The call of a context: its id (the caller's, where it is sane), deadline and end."""
    remaining = context.time_remaining()
    endless = remaining > LONGEST_DEADLINE
    call = Call(
        request_id=_of(metadata, REQUEST_ID, SANE_ID) or os.urandom(ID_BYTES).hex(),
        tenant=claimed_tenant(metadata),
        deadline=math.inf if endless else time.monotonic() + remaining,
    )
    if not context.add_callback(call.cancelled.set):
        call.cancelled.set()
    return call


def claimed_tenant(metadata: Metadata) -> str:
    """The tenant that a caller says to be."""
    return _of(metadata, TENANT, SANE_TENANT)


def _of(metadata: Metadata, wanted: str, sane: re.Pattern[str]) -> str:
    for key, value in metadata:
        if key == wanted and isinstance(value, str) and sane.fullmatch(value):
            return value
    return ""


def _status(exchange: Exchange, error: BaseException | None) -> grpc.StatusCode:
    hung_up = (
        exchange.call.cancelled.is_set() and not exchange.call.stopped
        if error is None
        else isinstance(error, GeneratorExit | grpc.RpcError | Cancelled)
    )
    if hung_up and exchange.call.remaining <= 0:
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if hung_up:
        return grpc.StatusCode.CANCELLED
    return code_of(error) if error else grpc.StatusCode.OK
