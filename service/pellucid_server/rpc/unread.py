"""The message of a call is read after the call was let in, and not at all where it is refused.

gRPC reads and decodes a single request before it asks anybody, on the one thread that serves all
calls. A stream of requests is read by whoever handles the call, so each call is taken for one.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from pellucid_server.errors import InvalidInput

Handler = Any
"""A grpc.RpcMethodHandler, whose types only its stubs know."""


@dataclass(frozen=True)
class Unread:
    """The message of a call, still on its way."""

    messages: Iterator[bytes]
    decode: Callable[[bytes], Any]

    def read(self) -> Any:
        """Waits for the message.

        Raises:
            InvalidInput: there is none, or it is not of this call's type.
            grpc.RpcError: the caller hung up, or gRPC found the message too large.
        """
        data = next(self.messages, None)
        if data is None:
            raise InvalidInput("the call has no request message: send one")
        return _decoded(self.decode, data)


class ReadLater(grpc.ServerInterceptor):  # type: ignore[type-arg]  # a generic in its stubs alone
    """Hands `Unread` to the handlers of single requests of these services.

    Streams are decoded here too: gRPC ends a call with bytes that are no message as INTERNAL, and
    never takes it for ended, so that the server could not stop.
    """

    def __init__(self, services: Collection[str]) -> None:
        self._services = services
        self._known: dict[str, Handler] = {}

    def intercept_service(
        self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a call; called on the thread that serves all."""
        name = details.method
        if name not in self._known:
            handler = continuation(details)
            if not self._ours(name, handler):
                return handler
            self._known[name] = _later(handler)
        return self._known[name]

    def _ours(self, name: str, handler: Handler | None) -> bool:
        service = name.strip("/").partition("/")[0]
        return handler is not None and service in self._services


def _later(handler: Handler) -> Handler:
    made: Any
    if handler.response_streaming:
        made, behaviour = (
            grpc.stream_stream_rpc_method_handler,
            handler.stream_stream or handler.unary_stream,
        )
    else:
        made, behaviour = (
            grpc.stream_unary_rpc_method_handler,
            handler.stream_unary or handler.unary_unary,
        )
    handle = partial(
        _handle_stream if handler.request_streaming else _handle,
        behaviour,
        handler.request_deserializer,
    )
    later: Handler = made(handle, None, handler.response_serializer)
    return later


def _handle(behaviour: Any, decode: Any, messages: Iterator[bytes], context: Any) -> Any:
    return behaviour(Unread(messages, decode), context)


def _handle_stream(behaviour: Any, decode: Any, messages: Iterator[bytes], context: Any) -> Any:
    return behaviour((_decoded(decode, each) for each in messages), context)


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except Exception as error:  # whatever protobuf raises on strangers' bytes
        raise InvalidInput(
            "the request is no message of this call's type: compare client's and server's proto"
        ) from error
