import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pellucid.v1 import model_pb2, model_pb2_grpc
from pellucid_server.config import Connections, Settings, StartError, Tls
from pellucid_server.rpc.server import SERVICES, address, build_server, channel_options
from pellucid_server.telemetry.metrics import Metrics

from .conftest import SETTINGS, FakeEngine, Running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def check(channel: grpc.Channel, service: str = "") -> object:
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request).status


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_health_is_told_for_every_service(running: Running, service: str) -> None:
    assert check(running.channel, service) == SERVING


def test_the_health_of_an_unknown_service_is_not_found(running: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(running.channel, "random")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_server_does_not_serve_before_it_is_told_so() -> None:
    server = build_server(FakeEngine().engine(), SETTINGS, Metrics())
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        assert check(channel) == NOT_SERVING
        server.health.start()
        assert check(channel) == SERVING
        server.health.stop()
        assert check(channel) == NOT_SERVING
        server.health.start()
        assert check(channel) == NOT_SERVING
    server.stop(0)


def test_health_streams_hold_no_threads(running: Running) -> None:
    """Many more watchers than the server has threads, and calls still go through."""
    stub = running.stub(health_pb2_grpc.HealthStub)
    watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(60)]
    assert {next(watch).status for watch in watches} == {SERVING}
    running.stub(model_pb2_grpc.ModelServiceStub).ListModels(model_pb2.ListModelsRequest())
    running.server.health.stop()
    assert {next(watch).status for watch in watches} == {NOT_SERVING}
    for watch in watches:
        watch.cancel()


def test_reflection_streams_hold_no_threads_of_calls(running: Running) -> None:
    stub = running.stub(reflection_pb2_grpc.ServerReflectionStub)
    leave = threading.Event()

    def forever() -> object:
        leave.wait(60)
        yield from ()

    streams = [stub.ServerReflectionInfo(forever()) for _ in range(40)]
    models = running.stub(model_pb2_grpc.ModelServiceStub)
    assert models.ListModels(model_pb2.ListModelsRequest()).models
    leave.set()
    for stream in streams:
        assert list(stream) == []


def test_reflection_lists_every_service(running: Running) -> None:
    stub = running.stub(reflection_pb2_grpc.ServerReflectionStub)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([ask]))
    names = {service.name for service in answer.list_services_response.service}
    own = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert names == {*SERVICES, *own}


def test_open_streams_of_tools_do_not_keep_the_server_from_stopping(running: Running) -> None:
    """Of reflection and of health; they would stay open for as long as calls may."""
    hung_up = threading.Event()

    def asks() -> Iterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        hung_up.wait(60)

    reflected = running.stub(reflection_pb2_grpc.ServerReflectionStub).ServerReflectionInfo(asks())
    watched = running.stub(health_pb2_grpc.HealthStub).Watch(health_pb2.HealthCheckRequest())
    next(reflected)
    assert next(watched).status == SERVING
    stopping = threading.Thread(target=running.server.stop, args=(600,))
    stopping.start()
    assert next(watched).status == NOT_SERVING
    for stream in (watched, reflected):
        with pytest.raises(grpc.RpcError):
            list(stream)
    assert watched.code() is grpc.StatusCode.UNAVAILABLE
    stopping.join(30)
    assert not stopping.is_alive()
    hung_up.set()


def test_clients_are_asked_whether_they_are_there() -> None:
    connections = Connections(ping_seconds=2, ping_timeout_seconds=1, idle_seconds=3)
    options = dict(channel_options(Settings(connections=connections)))
    assert options["grpc.keepalive_time_ms"] == 2000
    assert options["grpc.keepalive_timeout_ms"] == options["grpc.http2.ping_timeout_ms"] == 1000
    assert options["grpc.max_connection_idle_ms"] == 3000
    assert "grpc.max_connection_idle_ms" not in dict(channel_options(Settings()))


def test_a_port_in_use_is_a_readable_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = SETTINGS.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(
            StartError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"
        ):
            build_server(FakeEngine().engine(), settings, Metrics())


def test_two_servers_do_not_share_a_port() -> None:
    first = build_server(FakeEngine().engine(), SETTINGS, Metrics())
    settings = SETTINGS.model_copy(update={"port": first.port})
    with pytest.raises(StartError, match="already in use"):
        build_server(FakeEngine().engine(), settings, Metrics())
    first.stop(0)


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "Cannot assign requested address"), ("no such host", "not known")],
)
def test_an_address_that_is_not_ours_is_a_readable_error(host: str, reason: str) -> None:
    settings = SETTINGS.model_copy(update={"host": host})
    with pytest.raises(StartError, match=f"cannot listen on {host}:0: .*{reason}"):
        build_server(FakeEngine().engine(), settings, Metrics())


def test_addresses_of_both_families_are_written_as_urls_write_them() -> None:
    assert address("127.0.0.1", 1) == "127.0.0.1:1"
    assert address("::1", 1) == "[::1]:1"


def test_connections_end_at_the_age_of_the_settings() -> None:
    assert "grpc.max_connection_age_ms" not in dict(channel_options(Settings()))
    options = dict(channel_options(Settings(connection_seconds=1.5)))
    assert options["grpc.max_connection_age_ms"] == 1500


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    tls = Tls(certificate=folder / "certificate.pem", key=folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(tls.key), "-out", str(tls.certificate)]
    subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True)
    return tls


def trusting(tls: Tls, *, presenting: bool = False) -> grpc.ChannelCredentials:
    assert tls.certificate
    assert tls.key
    certificate = tls.certificate.read_bytes()
    own = (tls.key.read_bytes(), certificate) if presenting else (None, None)
    return grpc.ssl_channel_credentials(certificate, *own)


def test_calls_are_encrypted_where_there_is_a_certificate(pair: Tls) -> None:
    settings = SETTINGS.model_copy(update={"tls": pair})
    server = build_server(FakeEngine().engine(), settings, Metrics())
    server.start()
    with grpc.secure_channel(f"localhost:{server.port}", trusting(pair)) as channel:
        assert check(channel) == NOT_SERVING
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            check(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.stop(0)


def test_clients_must_present_a_certificate_where_the_settings_say_so(pair: Tls) -> None:
    mutual = Tls(certificate=pair.certificate, key=pair.key, client_ca=pair.certificate)
    settings = SETTINGS.model_copy(update={"tls": mutual})
    server = build_server(FakeEngine().engine(), settings, Metrics())
    server.start()
    target = f"localhost:{server.port}"
    with grpc.secure_channel(target, trusting(pair, presenting=True)) as channel:
        assert check(channel) == NOT_SERVING
    with grpc.secure_channel(target, trusting(pair)) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            check(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.stop(0)


def test_certificates_that_cannot_be_used_are_readable_errors(pair: Tls, tmp_path: Path) -> None:
    nowhere, garbage = tmp_path / "nowhere.pem", tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    for tls, message in (
        (Tls(certificate=nowhere, key=pair.key), r"cannot read .*nowhere\.pem: No such file"),
        (Tls(certificate=garbage, key=pair.key), "are no PEM pair"),
        (Tls(certificate=pair.certificate, key=garbage), "are no PEM pair"),
        (
            Tls(certificate=pair.certificate, key=pair.key, client_ca=garbage),
            "holds no PEM certificate",
        ),
    ):
        settings = SETTINGS.model_copy(update={"tls": tls})
        with pytest.raises(StartError, match=message):
            build_server(FakeEngine().engine(), settings, Metrics())
