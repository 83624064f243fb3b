"""The events of a call that streams, for synchronous code."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from pellucid._transport.calls import Attempt
from pellucid.errors import CancelledError

E = TypeVar("E")


class EventStream(Generic[E]):
    """A running call: iterate over its events; leaving its `with` block hangs up."""

    def __init__(
        self, start: Callable[[], Any], attempt: Attempt, read: Callable[[Any], E | None]
    ) -> None:
        self._start = start
        self._attempt = attempt
        self._read = read
        self._closed = threading.Event()
        self._begun = False
        self._call = start()

    def close(self) -> None:
        """Hangs up; who waits for an event gets a CancelledError."""
        self._closed.set()
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        while True:
            event = self._read(self._response())
            if event is not None:
                return event

    def _response(self) -> Any:
        while True:
            try:
                response = next(self._call)
            except grpc.RpcError as error:
                self._again(error)
            else:
                self._begun = True
                return response

    def _again(self, error: grpc.RpcError) -> None:
        """Starts anew where nothing came yet and the server asked to try later."""
        if self._begun or self._closed.is_set():
            raise self._attempt.error(error) from None
        if self._closed.wait(self._attempt.delay_after(error)):
            raise CancelledError("the call was closed", request_id=self._attempt.request_id)
        self._call = self._start()
