"""Health and reflection: what tools of the gRPC world expect beside our services."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

REFLECTION_STREAMS = 8
"""Open at once; more wait."""


class Health:
    """grpc.health.v1: not serving until told so, and never again after `stop`.

    Watch streams hold no thread: the servicer answers them by callback.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = (health.OVERALL_HEALTH, *services)
        self._servicer = health.HealthServicer()
        self.serving = False
        self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def register(self, server: grpc.Server) -> None:
        """Adds the service to a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def start(self) -> None:
        """The server takes requests from now on."""
        self.serving = True
        self._set(health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """The server goes away."""
        self.serving = False
        self._servicer.enter_graceful_shutdown()

    def _set(self, status: Any) -> None:
        for service in self._services:
            self._servicer.set(service, status)


def register_reflection(services: Sequence[str], server: grpc.Server) -> None:
    """Adds reflection, on threads of its own: each of its streams holds one while it is open."""
    names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
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
