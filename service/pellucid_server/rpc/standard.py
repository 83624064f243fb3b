"""Health and reflection: what tools of the gRPC world expect beside our services."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from types import SimpleNamespace
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

REFLECTION = reflection.SERVICE_NAME
REFLECTION_STREAMS = 8
"""Open at once; more wait."""


class _Watcher:
    """A stream of a caller of Watch."""

    def __init__(self, context: grpc.ServicerContext, send: Callable[[Any], None]) -> None:
        self._context = context
        self._send = send
        self._sending = Lock()
        self._ended = False

    def send(self, response: Any) -> None:
        """Sends a status; None: the caller hung up."""
        with self._sending:
            if not self._ended:
                self._ended = response is None
                self._send(response)

    def end(self) -> None:
        """Ends the stream, so that the caller looks for a server that stays."""
        with self._sending:
            if not self._ended:
                self._ended = True
                self._context.set_code(grpc.StatusCode.UNAVAILABLE)
                self._context.set_details("the server goes away: watch another one")
                self._send(None)


class _Servicer(health.HealthServicer):
    """The library's, whose streams can be ended by the server; they hold no thread."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers: set[_Watcher] = set()

    def Watch(self, request: Any, context: Any, send_response_callback: Any = None) -> None:
        watcher = _Watcher(context, send_response_callback)
        self.watchers.add(watcher)
        if context.add_callback(lambda: self.watchers.discard(watcher)):
            super().Watch(request, context, watcher.send)
        else:
            self.watchers.discard(watcher)


class Health:
    """grpc.health.v1: not serving until told so, and never again after `stop`."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = (health.OVERALL_HEALTH, *services)
        self._servicer = _Servicer()
        self._stopped = False
        self.serving = False
        self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def register(self, server: grpc.Server) -> None:
        """Adds the service to a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def start(self) -> None:
        """The server takes requests from now on."""
        self.serving = not self._stopped
        self._set(health_pb2.HealthCheckResponse.SERVING)

    def pause(self) -> None:
        """The server takes no requests until `start`."""
        self.serving = False
        self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def stop(self) -> None:
        """The server goes away."""
        self._stopped = True
        self.serving = False
        self._servicer.enter_graceful_shutdown()

    def end(self) -> None:
        """Ends the streams of those that watch: they would keep the server from stopping."""
        for watcher in tuple(self._servicer.watchers):
            watcher.end()

    def _set(self, status: Any) -> None:
        for service in self._services:
            self._servicer.set(service, status)


def register_reflection(services: Sequence[str], server: grpc.Server) -> None:
    """Adds reflection, on threads of its own: each of its streams holds one while it is open."""
    names = (*services, health.SERVICE_NAME, REFLECTION)
    servicer: Any = reflection.ReflectionServicer(names)

    def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        responses: Iterator[Any] = servicer.ServerReflectionInfo(requests, context)
        return responses

    # grpcio looks for this attribute.
    stream.experimental_thread_pool = ThreadPoolExecutor(  # type: ignore[attr-defined]
        REFLECTION_STREAMS, "reflection"
    )
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        SimpleNamespace(ServerReflectionInfo=stream), server
    )
