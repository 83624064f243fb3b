"""Calls that wait for their clients: for a message, or until an answer is taken; not for ever.

gRPC holds a thread for a call whose message arrives byte by byte, and one for a stream whose
answers nobody takes, as long as the connection answers pings. What waits here too long is
cancelled, which frees its thread, its memory and its place among the calls that run.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog

from pellucid_server.telemetry.metrics import Metrics

LOOKS = 4
"""Looks at those that wait, in the time that they may."""
LONGEST_PAUSE = 1.0
REASON = "stall_seconds"

Handler = Any  # grpcio's own is no generic at run time
log = structlog.get_logger()


@dataclass(eq=False)
class Wait:
    """A call that waits for its client, and since when: among `others` while it is entered."""

    others: "set[Wait]"
    method: str
    context: Any
    since: float = field(default_factory=time.monotonic)

    def __enter__(self) -> None:
        self.others.add(self)

    def __exit__(self, *_: object) -> None:
        self.others.discard(self)


@dataclass(eq=False)
class Arriving(Iterator[Any]):
    """A call's messages: their client is waited for while the next is asked for."""

    messages: Iterator[Any]
    waits: set[Wait]
    method: str
    context: Any

    def __next__(self) -> Any:
        with Wait(self.waits, self.method, self.context):
            return next(self.messages)


class Patience(grpc.ServerInterceptor):  # type: ignore[type-arg]  # grpcio has no generics at run time
    """Cancels calls that their clients keep waiting for `seconds`."""

    def __init__(self, seconds: float, metrics: Metrics) -> None:
        self._seconds = seconds
        self._metrics = metrics
        self._waits: set[Wait] = set()
        self._known: dict[str, Handler] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._closing.set()
        if self._thread.ident:
            self._thread.join()

    def hang_up(self, service: str) -> None:
        """Cancels the calls of a service that wait for their clients."""
        for wait in self._waits.copy():
            if wait.method.startswith(f"{service}/"):
                wait.context.cancel()

    def intercept_service(
        self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a call; called on the thread that serves all."""
        name = details.method
        if name not in self._known:
            handler = continuation(details)
            if handler is None:
                return None
            self._known[name] = self._watched(name.strip("/"), handler)
        return self._known[name]

    def waiting(self, method: str, context: Any) -> Wait:
        """While it is entered, the client is waited for."""
        return Wait(self._waits, method, context)

    def _watched(self, method: str, handler: Handler) -> Handler:
        """A handler that takes a stream of requests, whatever the contract says: it can be cut."""
        behaviour: Any = next(
            each
            for each in (
                handler.stream_stream,
                handler.stream_unary,
                handler.unary_stream,
                handler.unary_unary,
            )
            if each
        )
        single = not handler.request_streaming

        def requests(messages: Iterator[Any], context: Any) -> Any:
            arriving = Arriving(messages, self._waits, method, context)
            return _only(arriving, handler.request_deserializer, context) if single else arriving

        def answer(messages: Iterator[Any], context: Any) -> Any:
            response = behaviour(requests(messages, context), context)
            self._until_taken(method, context)
            return response

        def stream(messages: Iterator[Any], context: Any) -> Iterator[Any]:
            with closing(behaviour(requests(messages, context), context)) as responses:
                for response in responses:
                    with self.waiting(method, context):
                        yield response

        def watch(messages: Iterator[Any], context: Any, send: Callable[[Any], None]) -> Any:
            return behaviour(requests(messages, context), context, send)

        decode = None if single else handler.request_deserializer
        if not handler.response_streaming:
            return _made(grpc.stream_unary_rpc_method_handler, answer, decode, handler)
        by_callback = getattr(behaviour, "experimental_non_blocking", False)
        chosen: Any = watch if by_callback else stream
        chosen.experimental_non_blocking = by_callback
        chosen.experimental_thread_pool = getattr(behaviour, "experimental_thread_pool", None)
        return _made(grpc.stream_stream_rpc_method_handler, chosen, decode, handler)

    def _until_taken(self, method: str, context: Any) -> None:
        wait = self.waiting(method, context)
        self._waits.add(wait)
        if not context.add_callback(lambda: self._waits.discard(wait)):
            self._waits.discard(wait)

    def _watch(self) -> None:
        while not self._closing.wait(min(self._seconds / LOOKS, LONGEST_PAUSE)):
            due = time.monotonic() - self._seconds
            for wait in self._waits.copy():
                if wait.since <= due:
                    self._waits.discard(wait)
                    self._cut(wait)

    def _cut(self, wait: Wait) -> None:
        log.warning("client too slow", method=wait.method, peer=wait.context.peer())
        self._metrics.refusals.labels(wait.method, REASON).inc()
        wait.context.cancel()


def _made(make: Any, behaviour: Any, decode: Any, handler: Handler) -> Handler:
    made: Handler = make(behaviour, decode, handler.response_serializer)
    return made


def _only(messages: Iterator[bytes], decode: Any, context: Any) -> Any:
    """The message of a call that has one."""
    data = next(messages, None)
    if data is None:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call has no request message: send one")
    try:
        return decode(data)
    except Exception:  # noqa: BLE001  # whatever protobuf raises on strangers' bytes
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request is no message of its type")
