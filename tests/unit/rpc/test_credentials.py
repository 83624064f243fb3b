import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from pellucid.v1 import model_pb2, model_pb2_grpc
from pellucid_server.config import Auth, StartError, Tls
from pellucid_server.rpc.access.expiry import expiry
from pellucid_server.rpc.credentials import Certificates
from pellucid_server.rpc.server import RpcServer, build_server
from pellucid_server.telemetry.metrics import Metrics

from .conftest import SETTINGS, FakeEngine


@pytest.fixture
def authority(authorities: Callable[..., Any], tmp_path: Path) -> Any:
    return authorities(tmp_path)


@pytest.fixture
def pair(authority: Any) -> Any:
    return authority.issue("localhost", file="server")


@contextmanager
def running(
    pair: Any, client_ca: Path | None = None, auth: Auth | None = None
) -> Iterator[RpcServer]:
    tls = Tls(certificate=pair.certificate, key=pair.key, client_ca=client_ca)
    settings = SETTINGS.model_copy(update={"tls": tls, "auth": auth or Auth()})
    server = build_server(FakeEngine().engine(), settings, Metrics())
    server.start()
    yield server
    server.stop(0)


def served(server: RpcServer) -> int:
    """The serial number of the certificate that a new connection gets."""
    pem = ssl.get_server_certificate(("localhost", server.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def serial(pair: Any) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


def call(server: RpcServer, ca: Path, own: Any = None) -> Any:
    """Lists the models, on a new connection."""
    mine = (own.key.read_bytes(), own.certificate.read_bytes()) if own else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), *mine)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"localhost:{server.port}", credentials, options) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        return stub.ListModels(model_pb2.ListModelsRequest(), timeout=30)


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_changed_certificate_is_served_to_new_connections(authority: Any, pair: Any) -> None:
    """Those that are open go on."""
    with running(pair) as server:
        before = serial(pair)
        assert served(server) == before
        credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
        with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
            stub = model_pb2_grpc.ModelServiceStub(channel)
            stub.ListModels(model_pb2.ListModelsRequest())
            after = serial(authority.issue("localhost", file="server"))
            eventually(lambda: served(server) == after)
            stub.ListModels(model_pb2.ListModelsRequest())
        assert call(server, authority.ca).models


def test_a_pair_that_cannot_be_used_leaves_the_old_one(authority: Any, pair: Any) -> None:
    metrics = Metrics()
    certificates = Certificates(pair.certificate, pair.key, None, metrics)
    ends = metrics.registry.get_sample_value("pellucid_certificate_expiry_timestamp_seconds")
    other = authority.issue("localhost", file="other", until=datetime(2055, 1, 1, tzinfo=UTC))
    with capture_logs() as logs:
        shutil.copy(other.certificate, pair.certificate)  # and not its key
        certificates.look()
        assert certificates._news() is None
    assert [entry["log_level"] for entry in logs] == ["error"]
    value = metrics.registry.get_sample_value
    assert value("pellucid_certificate_expiry_timestamp_seconds") == ends
    shutil.copy(other.key, pair.key)
    with capture_logs():
        certificates.look()
    assert certificates._news() is not None
    assert certificates._news() is None
    assert value("pellucid_certificate_expiry_timestamp_seconds") == 2682374400.0


def test_clients_of_a_new_authority_are_known_when_its_file_changes(
    authority: Any, pair: Any, tmp_path: Path
) -> None:
    """And those of the old one are not any more."""
    (tmp_path / "new").mkdir()
    new, bundle = type(authority)(tmp_path / "new", "another"), tmp_path / "clients.pem"
    shutil.copy(authority.ca, bundle)
    old_client, new_client = authority.issue("old"), new.issue("new")
    with running(pair, bundle) as server:
        assert call(server, authority.ca, old_client).models
        with pytest.raises(grpc.RpcError):
            call(server, authority.ca, new_client)
        shutil.copy(new.ca, bundle)

        def known() -> bool:
            try:
                return bool(call(server, authority.ca, new_client).models)
            except grpc.RpcError:
                return False

        eventually(known)
        with pytest.raises(grpc.RpcError) as caught:
            call(server, authority.ca, old_client)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("kind", "tenant"),
    [("common_name", "gateway"), ("dns", "gateway"), ("uri", "spiffe://cluster/gate")],
)
def test_a_clients_certificate_names_its_tenant(
    authority: Any, pair: Any, kind: Any, tenant: str
) -> None:
    client = authority.issue("gateway", uri="spiffe://cluster/gate")
    auth = Auth(certificate_tenant=kind)
    with capture_logs() as logs, running(pair, authority.ca, auth) as server:
        assert call(server, authority.ca, client).models
    assert [entry["tenant"] for entry in logs if entry["event"] == "call"] == [tenant]


def test_a_certificate_without_that_name_is_refused(authority: Any, pair: Any) -> None:
    client = authority.issue("")
    with running(pair, authority.ca) as server, pytest.raises(grpc.RpcError) as caught:
        call(server, authority.ca, client)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_key_with_a_passphrase_is_a_readable_error(pair: Any) -> None:
    """Nobody is there to be asked for it."""
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(pem, pkcs8, encryption))
    with pytest.raises(StartError, match="are no PEM pair"):
        Certificates(pair.certificate, pair.key, None, Metrics())


@pytest.mark.parametrize("year", [2049, 2055], ids=["UTCTime", "GeneralizedTime"])
def test_the_end_of_a_certificate_is_read(authority: Any, year: int) -> None:
    until = datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC)
    pair = authority.issue("localhost", until=until)
    chain = b"subject=/CN=x\n" + pair.certificate.read_bytes() + authority.ca.read_bytes()
    assert expiry(chain) == until.timestamp()


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"]
)
def test_the_end_of_what_is_no_certificate_is_not_a_number(pem: bytes) -> None:
    assert expiry(pem) != expiry(pem)
