"""The events of a running explanation, for synchronous code."""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

from pellucid._transport.calls import Attempt
from pellucid._wire.explanations import EventReader
from pellucid.errors import CancelledError, InternalError
from pellucid.explanations import Event, Explanation, Progress
from pellucid.v1 import explanation_pb2 as pb


class ExplanationStream:
    """A running explanation: iterate over its events, or wait for its `result`.

    Closing it, or leaving its `with` block, stops the server's work.
    """

    def __init__(self, start: Callable[[], Any], attempt: Attempt) -> None:
        self._start = start
        self._attempt = attempt
        self._reader = EventReader()
        self._read: deque[Event] = deque()
        self._cancelled = threading.Event()
        self._begun = False
        self._call = start()

    def result(self, progress: Callable[[Progress], object] | None = None) -> Explanation:
        """The explanation; of several targets that of the first. `progress` is called back."""
        return self.results(progress)[0]

    def results(self, progress: Callable[[Progress], object] | None = None) -> list[Explanation]:
        """The explanations of all targets, in their order. `progress` is called back."""
        found = []
        with self:
            for event in self:
                if isinstance(event, Explanation):
                    found.append(event)
                elif isinstance(event, Progress) and progress:
                    progress(event)
        if not found:
            raise InternalError("the server ended without an explanation")
        return found

    def cancel(self) -> None:
        """Stops the server's work; who waits for an event gets a CancelledError."""
        self._cancelled.set()
        self._call.cancel()

    close = cancel

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

    def __next__(self) -> Event:
        while not self._read:
            self._read.extend(self._reader.read(self._response()))
        return self._read.popleft()

    def _response(self) -> pb.ExplainResponse:
        while True:
            try:
                response: pb.ExplainResponse = next(self._call)
            except grpc.RpcError as error:
                self._again(error)
            else:
                self._begun = True
                return response

    def _again(self, error: grpc.RpcError) -> None:
        """Starts anew where nothing came yet and the server asked to try later."""
        if self._begun or self._cancelled.is_set():
            raise self._attempt.error(error) from None
        if self._cancelled.wait(self._attempt.delay_after(error)):
            raise CancelledError(
                "the explanation was cancelled", request_id=self._attempt.request_id
            )
        self._call = self._start()
