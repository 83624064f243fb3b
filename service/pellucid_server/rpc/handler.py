"""Makes gRPC handlers of servicers' methods, which are functions of a request and an exchange."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import ClassVar, NoReturn, Protocol, TypeVar

import grpc
from grpc_status import rpc_status

from pellucid_server.rpc.access.authorise import discreet, visible
from pellucid_server.rpc.exchange import Exchange, Observer, open_exchange
from pellucid_server.rpc.status import status_of
from pellucid_server.rpc.unread import Unread

Request = TypeVar("Request")
Response = TypeVar("Response")


class Servicer(Protocol):
    """What every servicer has."""

    service: ClassVar[str]
    """Full name of the service."""

    @property
    def observer(self) -> Observer:
        """Who watches its calls."""


S = TypeVar("S", bound=Servicer)


def answers(
    method: Callable[[S, Request, Exchange], Response],
) -> Callable[[S, Request, grpc.ServicerContext], Response]:
    """A handler with one response."""

    @wraps(method)
    def handle(servicer: S, request: Request, context: grpc.ServicerContext) -> Response:
        exchange = open_exchange(f"{servicer.service}/{method.__name__}", context, stream=False)
        exchange.stream = not isinstance(request, Unread)
        servicer.observer.identify(exchange, context)
        try:
            with servicer.observer.observe(exchange):
                response = method(servicer, _read(servicer, request, exchange), exchange)
                return visible(exchange.caller, response)
        except Exception as error:  # noqa: BLE001  # the last resort: every error gets a status
            _refuse(context, error, exchange)

    return handle


def streams(
    method: Callable[[S, Request, Exchange], Iterator[Response]],
) -> Callable[[S, Request, grpc.ServicerContext], Iterator[Response]]:
    """A handler with a stream of responses; where the caller hangs up, `method` is closed."""

    @wraps(method)
    def handle(servicer: S, request: Request, context: grpc.ServicerContext) -> Iterator[Response]:
        exchange = open_exchange(f"{servicer.service}/{method.__name__}", context, stream=True)
        servicer.observer.identify(exchange, context)
        try:
            with servicer.observer.observe(exchange):
                yield from method(servicer, _read(servicer, request, exchange), exchange)
        except Exception as error:  # noqa: BLE001  # the last resort: every error gets a status
            _refuse(context, error, exchange)

    return handle


def turn_away(
    observer: Observer, method: str, error: Exception, context: grpc.ServicerContext
) -> None:
    """Ends a call with an error that was known before it began."""
    exchange = open_exchange(method, context, stream=False)
    observer.identify(exchange, context)
    exchange.refusal = exchange.refusal or error
    try:
        with observer.observe(exchange):
            exchange.raise_refusal()
    except Exception as caught:  # noqa: BLE001  # as above
        _refuse(context, caught, exchange)


def _read(servicer: Servicer, request: Request, exchange: Exchange) -> Request:
    """The message, once it is here and about nothing that is not the caller's."""
    message: Request = request.read() if isinstance(request, Unread) else request
    servicer.observer.access.authoriser.check(exchange.caller, message)
    return message


def _refuse(context: grpc.ServicerContext, error: Exception, exchange: Exchange) -> NoReturn:
    status = status_of(discreet(exchange.caller, error), exchange.call.request_id)
    context.abort_with_status(rpc_status.to_status(status))
