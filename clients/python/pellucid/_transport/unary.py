"""Calls with one request and one answer, in both flavours."""

import asyncio
import time
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from pellucid._transport.calls import Caller

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


class UnaryCaller(Caller):
    """Calls of the synchronous client."""

    def _unary(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Q, R]",
        request: Q,
        timeout: float | None = None,
    ) -> R:
        attempt = self._attempt(self._timeout if timeout is None else timeout)
        while True:
            try:
                return method(request, **attempt.options())
            except grpc.RpcError as error:
                time.sleep(attempt.delay_after(error))


class AioUnaryCaller(Caller):
    """Calls of the asynchronous client."""

    async def _unary(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Q, R]",
        request: Q,
        timeout: float | None = None,  # noqa: ASYNC109 - gRPC keeps it, and tells the server
    ) -> R:
        attempt = self._attempt(self._timeout if timeout is None else timeout)
        while True:
            try:
                return await method(request, **attempt.options())
            except grpc.aio.AioRpcError as error:
                await asyncio.sleep(attempt.delay_after(error))
