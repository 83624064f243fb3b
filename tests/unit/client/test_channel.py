"""Credentials, metadata and options of the connection."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

import pellucid
from pellucid._transport.channel import Endpoint, is_loopback
from pellucid.cli import app

TOKEN = "swordfish"  # noqa: S105 - of a server that lives as long as a test


@dataclass(frozen=True)
class Certificates:
    """A certificate for localhost, signed by itself, with its key; as paths."""

    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificates(folder / "cert.pem", folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True)
    return made


@pytest.fixture(params=[False, True], ids=["tls", "mutual tls"])
def mutual(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def encrypted(
    fake: Any, scripted: Any, certificates: Certificates, *, mutual: bool
) -> Iterator[str]:
    chain = certificates.certificate.read_bytes()
    credentials = grpc.ssl_server_credentials(
        [(certificates.key.read_bytes(), chain)], chain if mutual else None, mutual
    )
    server, port = scripted.serve(fake, credentials)
    yield f"localhost:{port}"
    server.stop(None).wait()


def test_tls_with_a_token(
    make: Any, fake: Any, scripted: Any, certificates: Certificates, encrypted: str, *, mutual: bool
) -> None:
    tls = pellucid.Tls(
        certificates.certificate.read_bytes(),
        certificates.key if mutual else None,
        certificates.certificate if mutual else None,
    )
    make(encrypted, tls=tls, token=TOKEN).predict(scripted.png(), model="lights")
    assert fake.metadata[-1]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("mutual", [False], indirect=True)
def test_an_authority_that_is_not_trusted(make: Any, encrypted: str) -> None:
    """The authorities that gRPC ships did not sign it."""
    with pytest.raises(pellucid.UnavailableError):
        make(encrypted, tls=True, retries=0).models()


@pytest.mark.parametrize("mutual", [True], indirect=True)
def test_a_client_without_certificate_is_turned_away(
    make: Any, certificates: Certificates, encrypted: str
) -> None:
    tls = pellucid.Tls(certificates.certificate)
    with pytest.raises(pellucid.UnavailableError):
        make(encrypted, tls=tls, retries=0).models()


@pytest.mark.parametrize("mutual", [False], indirect=True)
def test_a_server_reached_by_another_name(
    make: Any, certificates: Certificates, encrypted: str
) -> None:
    """The certificate is for localhost, and the address has no name."""
    address = encrypted.replace("localhost", "127.0.0.1")
    wrong = pellucid.Tls(certificates.certificate)
    with pytest.raises(pellucid.UnavailableError):
        make(address, tls=wrong, retries=0).health()
    tls = pellucid.Tls(certificates.certificate, server_name="localhost")
    assert make(address, tls=tls).health() is pellucid.Health.SERVING


@pytest.mark.parametrize("mutual", [True], indirect=True)
def test_a_probe_finds_all_it_needs_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates, encrypted: str
) -> None:
    """A container's health check is one fixed command."""
    given = {
        "SERVER": encrypted.replace("localhost", "127.0.0.1"),
        "SERVER_NAME": "localhost",
        "CA": str(certificates.certificate),
        "CERT": str(certificates.certificate),
        "KEY": str(certificates.key),
        "TOKEN": TOKEN,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"PELLUCID_{name}", value)
    ended = CliRunner().invoke(app, ["health"], prog_name="pellucid")
    assert (ended.exit_code, ended.stdout) == (0, "serving\n")


def test_a_key_needs_its_certificate(certificates: Certificates) -> None:
    with pytest.raises(pellucid.InvalidArgumentError, match="both private_key and") as caught:
        pellucid.Client(tls=pellucid.Tls(private_key=certificates.key))
    assert caught.value.field == "tls"


def test_a_token_is_sent_to_this_machine(make: Any, fake: Any, scripted: Any) -> None:
    make(token=TOKEN).predict(scripted.png(), model="lights")
    assert fake.metadata[-1]["authorization"] == f"Bearer {TOKEN}"


def test_a_token_in_a_file_may_change(make: Any, fake: Any, scripted: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    client = make(token=file)
    client.predict(scripted.png(), model="lights")
    assert fake.metadata[-1]["authorization"] == "Bearer first"
    file.write_text("second")
    client.predict(scripted.png(), model="lights")
    assert fake.metadata[-1]["authorization"] == "Bearer second"
    file.write_text("")
    with pytest.raises(pellucid.InvalidArgumentError, match="or nothing"):
        client.predict(scripted.png(), model="lights")
    file.unlink()
    with pytest.raises(FileNotFoundError):
        pellucid.Client(token=file)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Endpoint("localhost:1", token=TOKEN))


def test_a_token_never_travels_unencrypted() -> None:
    with pytest.raises(pellucid.InvalidArgumentError, match="would travel unencrypted") as caught:
        pellucid.Client("example.org:8001", token=TOKEN)
    assert caught.value.field == "token"


@pytest.mark.parametrize("token", ["a\n", "a b", "\u00e4", "\x00"])
def test_a_token_that_headers_cannot_carry_is_not_shown(token: str) -> None:
    with pytest.raises(pellucid.InvalidArgumentError, match="the token holds") as caught:
        pellucid.Client(token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("metadata", [{"X-Upper": "a"}, {"x": "a\nb"}, {"": "a"}])
def test_metadata_that_headers_cannot_carry(metadata: dict[str, str]) -> None:
    with pytest.raises(pellucid.InvalidArgumentError) as caught:
        pellucid.Client(metadata=metadata)
    assert caught.value.field == "metadata"


def test_metadata_go_with_every_call(make: Any, fake: Any, scripted: Any) -> None:
    client = make(metadata={"x-tenant": "blue"})
    client.predict(scripted.png(), model="lights")
    client.explain(scripted.png(), model="lights").result()
    list(client.predict_many([scripted.png()], model="lights"))
    client.models()
    client.health()
    assert {each["x-tenant"] for each in fake.metadata} == {"blue"}
    assert len({each["x-request-id"] for each in fake.metadata}) == len(fake.metadata)


@pytest.mark.parametrize(
    "target",
    [
        "localhost:8001",
        "LOCALHOST",
        "127.0.0.1:8001",
        "127.9.9.9",
        "[::1]:8001",
        "::1",
        "dns:///localhost:8001",
        "dns:localhost:8001",
        "dns://10.0.0.1/127.0.0.1:1",
        "ipv4:127.0.0.1:8001,127.0.0.2:8001",
        "ipv6:[::1]:8001",
        "unix:/run/pellucid.sock",
        "unix:///run/pellucid.sock",
        "unix-abstract:pellucid",
    ],
)
def test_targets_on_this_machine(target: str) -> None:
    assert is_loopback(target)


@pytest.mark.parametrize(
    "target",
    [
        "example.org:8001",
        "10.0.0.1:8001",
        "localhost.example.org:8001",
        "127.0.0.1.example.org",
        "[2001:db8::1]:8001",
        "dns:///example.org:8001",
        "dns://127.0.0.1/example.org:8001",
        "ipv4:127.0.0.1:8001,10.0.0.1:8001",
        "xds:///localhost:8001",
        "",
    ],
)
def test_targets_elsewhere(target: str) -> None:
    assert not is_loopback(target)


def config(endpoint: Endpoint) -> Any:
    return json.loads(dict(endpoint.channel_options())["grpc.service_config"])


def test_names_with_many_addresses_are_used_in_turn() -> None:
    for target in ("dns:///a:1", "ipv4:127.0.0.1:1,127.0.0.1:2"):
        assert config(Endpoint(target))["loadBalancingConfig"] == [{"round_robin": {}}]
        assert config(Endpoint(target))["healthCheckConfig"] == {"serviceName": ""}
    assert "loadBalancingConfig" not in config(Endpoint("a:1"))


def test_no_retries_no_policy() -> None:
    assert "methodConfig" not in config(Endpoint("a:1", attempts=1))
    policy = config(Endpoint("a:1", attempts=9))["methodConfig"][0]["retryPolicy"]
    assert policy["maxAttempts"] == 5


def test_the_callers_options_come_last() -> None:
    options = Endpoint("a:1", options=[("grpc.max_receive_message_length", 7)]).channel_options()
    assert dict(options)["grpc.max_receive_message_length"] == 7
    assert ("grpc.max_receive_message_length", 256 * 2**20) in options


def test_answers_beyond_grpcs_default_size_are_read(client: Any, fake: Any, scripted: Any) -> None:
    """The limit that gRPC sets is 4 MiB."""
    data = bytes(8 * 2**20)

    def predict(request: Any, _context: Any) -> Any:
        response = scripted.classified(request)
        tensor = response.predictions[0].raw_outputs.add(name="y", datatype="UINT8", data=data)
        tensor.shape.append(len(data))
        return response

    fake.predict = predict
    assert client.predict(scripted.png(), model="lights").outputs["y"].size == len(data)
