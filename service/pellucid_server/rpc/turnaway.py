"""Refusals on the thread that serves all calls: to wake another for each costs a busy server."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import grpc

from pellucid_server.call import Call
from pellucid_server.errors import Overloaded
from pellucid_server.rpc.admission import Room
from pellucid_server.rpc.exchange import Observer, claimed_tenant
from pellucid_server.rpc.handler import turn_away

P = ParamSpec("P")
T = TypeVar("T")
Handler = Any
"""A grpc.RpcMethodHandler, whose types only its stubs know."""


class Here(ThreadPoolExecutor):
    """Does work on the thread that submits it; gRPC takes no other kind of executor."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is for who waits
            done.set_exception(error)
        return done


class TurnAway(grpc.ServerInterceptor):  # type: ignore[type-arg]  # a generic in its stubs alone
    """Refuses calls that would wait too long, where that is known at once.

    Where callers have to prove who they are, calls are refused by their handlers: to look at a
    token may take long, and meanwhile this thread would serve nobody.
    """

    def __init__(self, rooms: Mapping[str, Room], observer: Observer) -> None:
        self._rooms = rooms if observer.access.open else {}
        self._observer = observer
        self._here = Here(1)

    def intercept_service(
        self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a call; called on the thread that serves all."""
        method = details.method.strip("/")
        if room := self._rooms.get(method):
            try:
                room(Call(tenant=claimed_tenant(details.invocation_metadata)))
            except Overloaded as error:
                return self._refusing(method, error)
        return continuation(details)

    def _refusing(self, method: str, error: Overloaded) -> Handler:
        def refuse(messages: Iterator[bytes], context: grpc.ServicerContext) -> None:
            del messages  # left unread
            turn_away(self._observer, method, error, context)

        behaviour: Any = refuse
        behaviour.experimental_thread_pool = self._here
        handler: Handler = grpc.stream_unary_rpc_method_handler(behaviour)
        return handler
