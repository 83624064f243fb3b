import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from pellucid.v1 import (
    evaluation_pb2_grpc,
    explanation_pb2_grpc,
    inference_pb2_grpc,
    model_pb2_grpc,
)
from pellucid_server.config import Settings, StartError
from pellucid_server.engine.engine import Engine
from pellucid_server.open_inference import open_inference_pb2_grpc
from pellucid_server.rpc.credentials import server_credentials
from pellucid_server.rpc.evaluation import EvaluationServicer
from pellucid_server.rpc.exchange import Observer
from pellucid_server.rpc.explanation import ExplanationServicer
from pellucid_server.rpc.inference import InferenceServicer
from pellucid_server.rpc.model import ModelServicer
from pellucid_server.rpc.open_inference import OpenInferenceServicer
from pellucid_server.rpc.standard import Health, register_reflection
from pellucid_server.telemetry.metrics import Metrics

SERVICES = (
    InferenceServicer.service,
    ExplanationServicer.service,
    ModelServicer.service,
    EvaluationServicer.service,
    OpenInferenceServicer.service,
)
SPARE_THREADS = 16
"""Beside those of the calls: for probes, and to refuse calls beyond the limit."""
BACKLOG = 1024
"""Calls beyond the limit, refusals and health streams among them, before gRPC drops them."""
KEEPALIVE_MS = 60_000
PING_MS = 10_000
"""Clients may ping this often."""


@dataclass(frozen=True)
class RpcServer:
    """The gRPC server, bound but not started."""

    grpc: grpc.Server
    port: int
    health: Health

    def start(self) -> None:
        """Answers calls; health says NOT_SERVING until `health.start`."""
        self.grpc.start()

    def stop(self, grace: float) -> None:
        """Refuses new calls, lets running ones go on for `grace` seconds, and waits."""
        self.health.stop()
        self.grpc.stop(grace).wait()


def build_server(engine: Engine, settings: Settings, metrics: Metrics) -> RpcServer:
    """Binds every service to the address of the settings.

    Raises:
        StartError: the address cannot be bound, or a certificate cannot be used.
    """
    limit = settings.limits.concurrent_calls
    server = grpc.server(
        ThreadPoolExecutor(limit + SPARE_THREADS, "rpc"),
        maximum_concurrent_rpcs=limit + BACKLOG,
        options=channel_options(settings),
    )
    observer, health = Observer(metrics, limit), Health(SERVICES)
    _register(server, engine, observer, health)
    return RpcServer(server, _bind(server, settings), health)


def channel_options(settings: Settings) -> list[tuple[str, int]]:
    """What gRPC's core is told."""
    options = [
        ("grpc.max_receive_message_length", settings.limits.message_bytes),
        ("grpc.max_send_message_length", -1),  # what we made may leave; clients have limits
        ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, not a helper
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MS),
    ]
    if settings.connection_seconds:
        options.append(("grpc.max_connection_age_ms", round(settings.connection_seconds * 1000)))
    return options


def address(host: str, port: int) -> str:
    """As gRPC and browsers write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _register(server: grpc.Server, engine: Engine, observer: Observer, health: Health) -> None:
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(
        InferenceServicer(engine, observer), server
    )
    explanation_pb2_grpc.add_ExplanationServiceServicer_to_server(
        ExplanationServicer(engine, observer), server
    )
    model_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(engine, observer), server)
    evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(
        EvaluationServicer(engine, observer), server
    )
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
        OpenInferenceServicer(engine, observer, lambda: health.serving), server
    )
    health.register(server)
    register_reflection(SERVICES, server)


def _bind(server: grpc.Server, settings: Settings) -> int:
    where, credentials = address(settings.host, settings.port), server_credentials(settings.tls)
    try:
        _try_to_bind(settings.host, settings.port)
        if credentials is None:
            return server.add_insecure_port(where)
        return server.add_secure_port(where, credentials)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(f"cannot listen on {where}: {reason}") from error


def _try_to_bind(host: str, port: int) -> None:
    """Finds the reason why an address cannot be bound: gRPC only logs it."""
    family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(where)
