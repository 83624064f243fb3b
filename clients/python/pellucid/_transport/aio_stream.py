"""The events of a running explanation, for asyncio."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import grpc

from pellucid._transport.calls import EOF, Attempt
from pellucid._wire.explanations import EventReader
from pellucid.errors import CancelledError, InternalError
from pellucid.explanations import Event, Explanation, Progress
from pellucid.v1 import explanation_pb2 as pb


class ExplanationStream:
    """A running explanation: `async for` over its events, or await its `result`.

    Cancelling it, or leaving its `async with` block, stops the server's work.
    """

    def __init__(
        self, build: Callable[[], Awaitable[pb.ExplainRequest]], method: Any, attempt: Attempt
    ) -> None:
        self._build = build
        self._method = method
        self._attempt = attempt
        self._reader = EventReader()
        self._read: deque[Event] = deque()
        self._cancelled = False
        self._begun = False
        self._request: pb.ExplainRequest | None = None
        self._call: Any = None

    async def result(self, progress: Callable[[Progress], object] | None = None) -> Explanation:
        """The explanation; of several targets that of the first. `progress` is called back."""
        return (await self.results(progress))[0]

    async def results(
        self, progress: Callable[[Progress], object] | None = None
    ) -> list[Explanation]:
        """The explanations of all targets, in their order. `progress` is called back."""
        found = []
        async with self:
            async for event in self:
                if isinstance(event, Explanation):
                    found.append(event)
                elif isinstance(event, Progress) and progress:
                    progress(event)
        if not found:
            raise InternalError("the server ended without an explanation")
        return found

    def cancel(self) -> None:
        """Stops the server's work; who waits for an event gets a CancelledError."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._read:
            self._read.extend(self._reader.read(await self._response()))
        return self._read.popleft()

    async def _response(self) -> pb.ExplainResponse:
        while True:
            try:
                response = await (await self._started()).read()
            except grpc.aio.AioRpcError as error:
                await self._again(error)
            except asyncio.CancelledError:
                # gRPC raises it for its own call too; the task's own must go on its way.
                if not self._cancelled:
                    self.cancel()
                    raise
                raise self._stopped() from None
            else:
                if response is EOF:
                    raise StopAsyncIteration
                self._begun = True
                found: pb.ExplainResponse = response
                return found

    async def _started(self) -> Any:
        if self._cancelled and self._call is None:
            raise self._stopped()
        if self._request is None:
            self._request = await self._build()
        if self._call is None:
            self._call = self._method(self._request, **self._attempt.options())
        return self._call

    async def _again(self, error: grpc.aio.AioRpcError) -> None:
        """Starts anew where nothing came yet and the server asked to try later."""
        if self._begun or self._cancelled:
            raise self._attempt.error(error) from None
        await asyncio.sleep(self._attempt.delay_after(error))
        self._call = None

    def _stopped(self) -> CancelledError:
        message = "the explanation was cancelled"
        return CancelledError(message, request_id=self._attempt.request_id)
