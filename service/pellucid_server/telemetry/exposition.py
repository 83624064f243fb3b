"""What is told over HTTP: metrics to Prometheus, and to probes whether the server is ready.

It needs no certificate and no token, so that it stays a probe where gRPC asks for both.
"""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from pellucid_server.telemetry.readiness import Readiness, Status

PATIENCE = 10
"""Seconds that a caller may take for its request."""
CONNECTIONS = 32
"""Open at once; more are closed, so that whoever holds many costs no more threads."""


@dataclass(frozen=True)
class MetricsEndpoint:
    """Serves `/metrics`, `/livez` and `/readyz` over HTTP."""

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


def expose(
    registry: CollectorRegistry, readiness: Readiness, host: str, port: int
) -> MetricsEndpoint:
    """Starts the endpoint; port 0: any free one.

    Raises:
        OSError: the address cannot be bound.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    kind: Any = type("Server", (_Server,), {"address_family": family})
    server: WSGIServer = make_server(host, port, _application(registry, readiness), kind, _Handler)
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return MetricsEndpoint(server, thread)


def _application(registry: CollectorRegistry, readiness: Readiness) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(registry)

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, start)
            case "/livez":
                return _answer(start, HTTPStatus.OK, {"status": "alive"})
            case "/readyz":
                ready = readiness.status is Status.READY
                code = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
                told = {"status": readiness.status, "waits_for": readiness.waits_for}
                return _answer(start, code, told)
        return _answer(start, HTTPStatus.NOT_FOUND, {"paths": ["/metrics", "/livez", "/readyz"]})

    return application


def _answer(start: StartResponse, code: HTTPStatus, told: dict[str, Any]) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    start(f"{code.value} {code.phrase}", headers)
    return [json.dumps(told).encode() + b"\n"]


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: that is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._room = BoundedSemaphore(CONNECTIONS)
        super().__init__(*arguments)

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for the host's name, which can take long at start.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hung up, or took too long: its own business."""
