"""The events of a call that streams, for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from pellucid._transport.calls import EOF, Attempt
from pellucid.errors import CancelledError

E = TypeVar("E")


class EventStream(Generic[E]):
    """A call that begins with the first event awaited; leaving its `async with` hangs up."""

    def __init__(
        self,
        start: Callable[[], Awaitable[Any]],
        attempt: Attempt,
        read: Callable[[Any], E | None],
    ) -> None:
        self._start = start
        self._attempt = attempt
        self._read = read
        self._closed = False
        self._begun = False
        self._call: Any = None

    def close(self) -> None:
        """Hangs up; who waits for an event gets a CancelledError."""
        self._closed = True
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
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while True:
            event = self._read(await self._response())
            if event is not None:
                return event

    async def _response(self) -> Any:
        while True:
            try:
                response = await (await self._started()).read()
            except grpc.aio.AioRpcError as error:
                await self._again(error)
            except asyncio.CancelledError:
                # gRPC raises it where a call was cancelled, on either side.
                if _task_is_cancelled():
                    self.close()
                    raise
                raise self._stopped() from None
            else:
                if response is EOF:
                    raise StopAsyncIteration
                self._begun = True
                return response

    async def _started(self) -> Any:
        if self._closed:
            raise self._stopped()
        if self._call is None:
            self._call = await self._start()
        return self._call

    async def _again(self, error: grpc.aio.AioRpcError) -> None:
        """Starts anew where nothing came yet and the server asked to try later."""
        if self._begun or self._closed:
            raise self._attempt.error(error) from None
        await asyncio.sleep(self._attempt.delay_after(error))
        self._call = None

    def _stopped(self) -> CancelledError:
        return CancelledError("the call was closed", request_id=self._attempt.request_id)


def _task_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
