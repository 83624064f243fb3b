from dataclasses import dataclass
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server


@dataclass(frozen=True)
class MetricsEndpoint:
    """Serves a registry to Prometheus over HTTP at `/metrics`."""

    server: WSGIServer
    thread: Thread

    @property
    def port(self) -> int:
        """The port that was really bound."""
        return self.server.server_port

    def close(self) -> None:
        """Stops serving."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def expose(registry: CollectorRegistry, host: str, port: int) -> MetricsEndpoint:
    """Starts the endpoint; port 0: any free one.

    Raises:
        OSError: the address cannot be bound.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
    server, thread = start_http_server(port, addr=host, registry=registry)
    return MetricsEndpoint(server, thread)
