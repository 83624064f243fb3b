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
from pellucid_server.rpc.access.access import build_access
from pellucid_server.rpc.access.watched import Watcher
from pellucid_server.rpc.credentials import Certificates, certificates
from pellucid_server.rpc.departure import Departure, last_word
from pellucid_server.rpc.evaluation import EvaluationServicer
from pellucid_server.rpc.exchange import Observer
from pellucid_server.rpc.explanation import ExplanationServicer
from pellucid_server.rpc.inference import InferenceServicer
from pellucid_server.rpc.model import ModelServicer
from pellucid_server.rpc.open_inference import OpenInferenceServicer
from pellucid_server.rpc.patience import Patience
from pellucid_server.rpc.standard import REFLECTION, Health, register_reflection
from pellucid_server.rpc.turnaway import TurnAway
from pellucid_server.rpc.unread import ReadLater
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.telemetry.tracing import Tracer

SERVICES = (
    InferenceServicer.service,
    ExplanationServicer.service,
    ModelServicer.service,
    EvaluationServicer.service,
    OpenInferenceServicer.service,
)
WAITING = (f"{InferenceServicer.service}/Predict", f"{OpenInferenceServicer.service}/ModelInfer")
"""Calls that wait for their turn on a device, and for nothing else."""
SPARE_THREADS = 16
"""Beside those of the calls: for probes, and to refuse calls beyond the limit."""
BACKLOG = 1024
"""Calls beyond the limit, refusals and health streams among them, before gRPC drops them."""
PING_MS = 10_000
"""Clients may ping this often."""


@dataclass(frozen=True)
class RpcServer:
    """The gRPC server, bound but not started."""

    grpc: grpc.Server
    port: int
    health: Health
    departure: Departure
    patience: Patience
    watcher: Watcher

    def start(self) -> None:
        """Answers calls; health says NOT_SERVING until `health.start`."""
        self.patience.start()
        self.watcher.start()
        self.grpc.start()

    def stop(self, grace: float) -> None:
        """Takes no new calls, lets running ones go on for `grace` seconds, and waits."""
        self.health.stop()
        if grace:
            self.departure.wait_until_quiet()
        self.health.end()
        self.patience.hang_up(REFLECTION)
        self.departure.begun.set()
        stopped = self.grpc.stop(grace)
        if not stopped.wait(grace - last_word(grace)):
            self.departure.tell()
        stopped.wait()
        self.patience.close()
        self.watcher.stop()


def build_server(
    engine: Engine, settings: Settings, metrics: Metrics, tracer: Tracer | None = None
) -> RpcServer:
    """Binds every service to the address of the settings.

    Raises:
        StartError: the address cannot be bound, or a file of certificates or of access control
            cannot be used.
    """
    limit = settings.limits.concurrent_calls
    patience = Patience(settings.connections.stall_seconds, metrics)
    rooms = dict.fromkeys(WAITING, engine.predictor.promises.check)
    access = build_access(engine, settings, metrics)
    observer = Observer(metrics, settings.limits, rooms, access, tracer)
    server = grpc.server(
        ThreadPoolExecutor(limit + SPARE_THREADS, "rpc"),
        maximum_concurrent_rpcs=limit + BACKLOG,
        options=channel_options(settings),
        interceptors=[TurnAway(rooms, observer), patience, ReadLater(SERVICES)],
    )
    health, pair = Health(SERVICES), certificates(settings.tls, metrics)
    _register(server, engine, observer, health)
    if settings.auth.reflection:
        register_reflection(SERVICES, server)
    watcher = Watcher([*access.files, *([pair] if pair else [])])
    port = _bind(server, settings, pair)
    return RpcServer(server, port, health, observer.departure, patience, watcher)


def channel_options(settings: Settings) -> list[tuple[str, int]]:
    """What gRPC's core is told."""
    connections = settings.connections
    answer = _milliseconds(connections.ping_timeout_seconds)
    options = [
        ("grpc.max_receive_message_length", settings.limits.message_bytes),
        ("grpc.max_send_message_length", -1),  # what we made may leave; clients have limits
        ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, not a helper
        ("grpc.keepalive_time_ms", _milliseconds(connections.ping_seconds)),
        ("grpc.keepalive_timeout_ms", answer),
        ("grpc.http2.ping_timeout_ms", answer),  # a ping that measures is not followed by another
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # a quiet Explain is watched to its end
        ("grpc.server_handshake_timeout_ms", answer),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MS),
    ]
    if settings.connection_seconds:
        age = _milliseconds(settings.connection_seconds)
        options.append(("grpc.max_connection_age_ms", age))
    if connections.idle_seconds:
        idle = _milliseconds(connections.idle_seconds)
        options.append(("grpc.max_connection_idle_ms", idle))
    return options


def _milliseconds(seconds: float) -> int:
    return min(max(round(seconds * 1000), 1), 2**31 - 1)


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


def _bind(server: grpc.Server, settings: Settings, pair: Certificates | None) -> int:
    where = address(settings.host, settings.port)
    try:
        _try_to_bind(settings.host, settings.port)
        if pair is None:
            return server.add_insecure_port(where)
        return server.add_secure_port(where, pair.credentials())
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(f"cannot listen on {where}: {reason}") from error


def _try_to_bind(host: str, port: int) -> None:
    """Finds the reason why an address cannot be bound: gRPC only logs it."""
    family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(where)
