"""One call from arrival to status: its id and deadline, its log line, its metrics."""

import math
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from structlog.contextvars import bound_contextvars

from pellucid_server.call import Call
from pellucid_server.errors import Cancelled, Overloaded
from pellucid_server.rpc.status import code_of
from pellucid_server.telemetry.metrics import Metrics

REQUEST_ID = "x-request-id"
SANE_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
TENANT = "x-pellucid-tenant"
SANE_TENANT = re.compile(r"[\w.:/+@-]{1,64}", re.ASCII)
RETRY_AFTER = 1.0
"""Seconds after which a refused call may try again."""
LONGEST_DEADLINE = 10 * 365 * 24 * 3600.0
"""Seconds; gRPC reports a call without a deadline as one of centuries."""


@dataclass
class Exchange:
    """A call and what is told of it in the log: servicers fill in the latter."""

    call: Call
    method: str
    peer: str
    model: str = ""
    """Only names of models that exist: it becomes a metric's label."""
    version: str = ""
    facts: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

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

    def __init__(self, metrics: Metrics, concurrent_calls: int) -> None:
        self._metrics = metrics
        self._room = threading.BoundedSemaphore(concurrent_calls)
        self._log = structlog.get_logger("pellucid_server.rpc")

    @contextmanager
    def observe(self, exchange: Exchange) -> Iterator[None]:
        """Runs a call: whatever way it ends is logged, counted and let through.

        Raises:
            Overloaded: too many calls run already.
        """
        running = self._metrics.in_flight.labels(exchange.method)
        running.inc()
        error: BaseException | None = None
        try:
            with self._admitted(), bound_contextvars(request_id=exchange.call.request_id):
                yield
        except BaseException as caught:
            error = caught
            raise
        finally:
            running.dec()
            self._report(exchange, error)

    def report_item(self, exchange: Exchange, error: Exception) -> None:
        """Notes the failure of one request of a stream that goes on."""
        exchange.add(errors=1)
        if code_of(error) is grpc.StatusCode.INTERNAL:
            request_id = exchange.call.request_id
            self._log.error("request of a stream", request_id=request_id, exc_info=error)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise Overloaded("too many calls at once: try again later", retry_after=RETRY_AFTER)
        try:
            yield
        finally:
            self._room.release()

    def _report(self, exchange: Exchange, error: BaseException | None) -> None:
        status = _status(exchange, error)
        method, model = exchange.method, exchange.model
        self._metrics.requests.labels(method, model, status.name).inc()
        self._metrics.request_seconds.labels(method).observe(exchange.seconds)
        facts: dict[str, Any] = {
            "request_id": exchange.call.request_id,
            "method": method,
            "model": model,
            "version": exchange.version,
            "status": status.name,
            "seconds": round(exchange.seconds, 6),
            **{name: round(value, 6) for name, value in exchange.facts.items()},
            "peer": exchange.peer,
        }
        if status is grpc.StatusCode.INTERNAL:
            self._log.error("call", exc_info=error, **facts)
        elif error is None or status is grpc.StatusCode.CANCELLED:
            self._log.info("call", **facts)
        else:
            self._log.warning("call", error=str(error), **facts)


def open_exchange(method: str, context: grpc.ServicerContext, *, stream: bool) -> Exchange:
    """Takes up a call and tells the caller its id: of a stream at once, else with the answer."""
    exchange = Exchange(open_call(context), method, context.peer())
    metadata = ((REQUEST_ID, exchange.call.request_id),)
    if not stream:  # a message less on the wire
        context.set_trailing_metadata(metadata)
        return exchange
    with suppress(grpc.RpcError):  # the caller hung up already: `call` knows
        context.send_initial_metadata(metadata)
    return exchange


def open_call(context: grpc.ServicerContext) -> Call:
    """The call of a context: its id (the caller's, where it is sane), deadline and end."""
    remaining = context.time_remaining()
    endless = remaining > LONGEST_DEADLINE
    call = Call(
        request_id=_request_id(context),
        tenant=_metadata(context, TENANT, SANE_TENANT) or "",
        deadline=math.inf if endless else time.monotonic() + remaining,
    )
    if not context.add_callback(call.cancelled.set):
        call.cancelled.set()
    return call


def _request_id(context: grpc.ServicerContext) -> str:
    return _metadata(context, REQUEST_ID, SANE_ID) or uuid.uuid4().hex


def _metadata(context: grpc.ServicerContext, wanted: str, sane: re.Pattern[str]) -> str | None:
    for key, value in context.invocation_metadata():
        if key == wanted and isinstance(value, str) and sane.fullmatch(value):
            return value
    return None


def _status(exchange: Exchange, error: BaseException | None) -> grpc.StatusCode:
    hung_up = (
        exchange.call.cancelled.is_set()
        if error is None
        else isinstance(error, GeneratorExit | grpc.RpcError | Cancelled)
    )
    if hung_up and exchange.call.remaining <= 0:
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if hung_up:
        return grpc.StatusCode.CANCELLED
    return code_of(error) if error else grpc.StatusCode.OK
