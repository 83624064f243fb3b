"""Who may call, proven with real servers: TLS, tokens, an identity provider, certificates."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pellucid
from pellucid import aio
from pellucid.cli import app
from pellucid_server.__main__ import main
from pellucid_server.rpc.access.tokens import digest_of

from .conftest import write_classifier, write_noise

WRONG = "wrong"
POLICY = """
tenants:
  team-a: {methods: ["*"], models: [cats]}
  reader: {methods: ["List*", "Get*"], models: ["*"]}
  ann: {methods: ["*"], models: ["*"]}
"""


@dataclass(frozen=True)
class Secured:
    """A server with TLS, tokens, an identity provider and a policy."""

    server: Any
    folder: Path
    authority: Any
    provider: Any
    token: str
    images: Path

    @property
    def target(self) -> str:
        """By the name in the certificate."""
        return str(self.server.target).replace("127.0.0.1", "localhost")

    @property
    def tls(self) -> pellucid.Tls:
        """What clients trust."""
        return pellucid.Tls(self.authority.ca)

    def client(self, token: str | None = None, **arguments: Any) -> pellucid.Client:
        """A client that shows a token; by default the good one."""
        given = self.token if token is None else token or None
        return pellucid.Client(self.target, tls=self.tls, token=given, retries=0, **arguments)


def issue(file: Path, tenant: str, *flags: str) -> str:
    """A token made as people make it."""
    with redirect_stdout(StringIO()) as out:
        main(["token", tenant, f"--file={file}", *flags])
    return out.getvalue().strip()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name in ("cats", "dogs"):
        write_classifier(root, name, side=16, layers=1, channels=4)
    return root


@pytest.fixture(scope="module")
def secured(
    serve: Callable[..., Any],
    models: Path,
    authorities: Callable[..., Any],
    identity_providers: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = authorities(folder)
    pair = authority.issue("localhost", file="server")
    token = issue(folder / "tokens.yaml", "team-a", "--days=1", "--note=for a test")
    (folder / "policy.yaml").write_text(POLICY)
    with identity_providers().serving() as provider:
        server = serve(
            models,
            f"--tls-certificate={pair.certificate}",
            f"--tls-key={pair.key}",
            f"--auth-tokens={folder / 'tokens.yaml'}",
            f"--auth-policy={folder / 'policy.yaml'}",
            f"--auth-oidc-issuer={provider.issuer}",
            f"--auth-oidc-audience={provider.audience}",
        )
        images = write_noise(folder / "images", 4, 16)
        yield Secured(server, folder, authority, provider, token, images)


@pytest.fixture
def image(secured: Secured) -> Path:
    return next(secured.images.rglob("*.png"))


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_known(secured: Secured, token: str) -> bool:
    with secured.client(token) as client:
        try:
            client.models()
        except pellucid.UnauthenticatedError:
            return False
        return True


def test_the_client_predicts_and_explains_with_a_token(secured: Secured, image: Path) -> None:
    with secured.client() as client:
        assert client.predict(image, model="cats").model == "cats"
        assert client.explain(image, model="cats", num_masks=8).result().evaluations
        assert [model.name for model in client.models()] == ["cats"]


async def test_the_asynchronous_client_does_too(secured: Secured, image: Path) -> None:
    async with aio.Client(secured.target, tls=secured.tls, token=secured.token) as client:
        assert (await client.predict(image, model="cats")).model == "cats"
        assert (await client.explain(image, model="cats", num_masks=8).result()).evaluations
        with pytest.raises(pellucid.PermissionDeniedError, match="may not use a model 'dogs'"):
            await client.predict(image, model="dogs")
    async with aio.Client(secured.target, tls=secured.tls, token=WRONG, retries=0) as client:
        with pytest.raises(pellucid.UnauthenticatedError, match="not known here"):
            await client.explain(image, model="cats").result()


@pytest.mark.parametrize("token", ["", WRONG, "a.b.c"])
def test_without_a_good_token_nothing_is_answered_but_health(
    secured: Secured, image: Path, token: str
) -> None:
    with secured.client(token) as client:
        assert client.health().name == "SERVING"
        for ask in (
            lambda: client.predict(image, model="cats"),
            lambda: client.explain(image, model="cats").result(),
            lambda: list(client.predict_many([image], model="cats")),
            client.models,
        ):
            with pytest.raises(pellucid.UnauthenticatedError):
                ask()


def test_a_model_that_is_not_the_tenants_is_refused(secured: Secured, image: Path) -> None:
    """In a stream too; in the same words where there is none of that name."""
    with secured.client() as client:
        for model in ("dogs", "wolves"):
            for ask in (
                lambda name=model: client.predict(image, model=name),
                lambda name=model: client.explain(image, model=name).result(),
                lambda name=model: client.model(name),
            ):
                with pytest.raises(
                    pellucid.PermissionDeniedError, match=f"may not use a model '{model}'"
                ):
                    ask()


def test_a_method_that_is_not_the_tenants_is_refused(secured: Secured, image: Path) -> None:
    reader = issue(secured.folder / "tokens.yaml", "reader")
    eventually(lambda: is_known(secured, reader))
    with secured.client(reader) as client:
        assert [model.name for model in client.models()] == ["cats", "dogs"]
        with pytest.raises(pellucid.PermissionDeniedError, match="may not call Explain"):
            client.explain(image, model="cats").result()


def test_a_token_is_good_until_it_is_taken_out_of_the_file(secured: Secured) -> None:
    """A file that cannot be used takes nobody's away."""
    file = secured.folder / "tokens.yaml"
    before = file.read_text()
    other = issue(file, "ann")
    eventually(lambda: is_known(secured, other))
    file.write_text("tokens: [")
    eventually(lambda: "tokens" in [e.get("what") for e in secured.server.events() if refused(e)])
    assert is_known(secured, other)
    file.write_text(before)
    eventually(lambda: not is_known(secured, other))
    assert is_known(secured, secured.token)


def refused(event: dict[str, Any]) -> bool:
    return bool(event["event"] == "changed files are not used")


def test_an_expired_token_is_refused(secured: Secured) -> None:
    file = secured.folder / "tokens.yaml"
    late = "an-old-token"
    entry = f"- {{tenant: ann, sha256: {digest_of(late).hex()}, expires: 2020-01-01}}\n"
    file.write_text(file.read_text() + entry)

    def told() -> str:
        with secured.client(late) as client, pytest.raises(pellucid.UnauthenticatedError) as caught:
            client.models()
        return caught.value.message

    eventually(lambda: "expired at 2020-01-01" in told())


def test_tokens_of_the_identity_provider_are_taken(secured: Secured, image: Path) -> None:
    with secured.client(secured.provider.token()) as client:
        assert client.predict(image, model="dogs").model == "dogs"
    for claims, reason in (
        ({"exp": 1}, "expired"),
        ({"aud": "another"}, "another audience"),
        ({"iss": "https://elsewhere"}, "another issuer"),
    ):
        with (
            secured.client(secured.provider.token(**claims)) as client,
            pytest.raises(pellucid.UnauthenticatedError, match=reason),
        ):
            client.models()


def test_the_command_line_takes_all_from_the_environment(secured: Secured, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(secured.token + "\n")
    environment = {
        "PELLUCID_SERVER": str(secured.server.target),
        "PELLUCID_SERVER_NAME": "localhost",
        "PELLUCID_CA": str(secured.authority.ca),
        "PELLUCID_TOKEN_FILE": str(file),
    }

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(
            app, [*arguments, "--quiet"], prog_name="pellucid", env=environment
        )
        assert done.exit_code == 0, done.stderr
        return done.stdout

    images = str(secured.images)
    assert run("health") == "serving\n"
    assert len(run("predict", images, "-m", "cats", "--json").splitlines()) == 4
    run("explain", images, "-m", "cats", "--masks=8", f"--output={tmp_path / 'maps'}")
    assert len(list((tmp_path / "maps").rglob("*.npy"))) == 4
    report = json.loads(run("evaluate", images, "-m", "cats", "--json"))
    assert report["report"]["images"] == 4, report


def test_evaluations_of_others_are_not_shown(secured: Secured) -> None:
    with secured.client(secured.provider.token()) as ann, secured.client() as team:
        stream = team.evaluate(secured.images, model="cats")
        name = stream.accepted().name
        stream.result()
        assert name in [each.name for each in team.evaluations()]
        assert name not in [each.name for each in ann.evaluations()]
        with pytest.raises(pellucid.NotFoundError, match="no evaluation"):
            ann.evaluation(name)


def test_a_changed_certificate_is_served_without_a_restart(secured: Secured) -> None:
    host, port = secured.target.split(":")
    before = ssl.get_server_certificate((host, int(port)))
    secured.authority.issue("localhost", file="server")
    eventually(lambda: ssl.get_server_certificate((host, int(port))) != before)
    with secured.client() as client:
        assert client.models()


def test_nothing_secret_is_logged(secured: Secured) -> None:
    """After all the calls above, those that were refused among them."""
    with secured.client("a-wrong-but-secret-token") as client:
        for ask in (client.models, lambda: client.model("cats")):
            with pytest.raises(pellucid.UnauthenticatedError):
                ask()
    log = secured.server.log.read_text()
    signed = secured.provider.token().rpartition(".")[0]
    for secret in (secured.token, "a-wrong-but-secret-token", "an-old-token", signed, "PRIVATE"):
        assert secret not in log
    assert "UNAUTHENTICATED" in log
    assert '"tenant": "team-a"' in log


@pytest.fixture(scope="module")
def mutual(
    serve: Callable[..., Any],
    models: Path,
    authorities: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Any, Any]:
    """A server that asks for client certificates."""
    authority = authorities(tmp_path_factory.mktemp("mutual"))
    pair = authority.issue("localhost", file="server")
    server = serve(
        models,
        f"--tls-certificate={pair.certificate}",
        f"--tls-key={pair.key}",
        f"--tls-client-ca={authority.ca}",
    )
    return server, authority


def test_a_client_without_a_certificate_of_ours_is_turned_away(
    mutual: tuple[Any, Any], tmp_path: Path
) -> None:
    server, authority = mutual
    target = server.target.replace("127.0.0.1", "localhost")
    stranger = type(authority)(tmp_path, "a stranger").issue("gateway")
    for tls in (
        pellucid.Tls(authority.ca),
        pellucid.Tls(authority.ca, stranger.key, stranger.certificate),
    ):
        with (
            pellucid.Client(target, tls=tls, retries=0) as client,
            pytest.raises(pellucid.UnavailableError),
        ):
            client.models()


def test_a_certificate_names_the_tenant(mutual: tuple[Any, Any]) -> None:
    server, authority = mutual
    own = authority.issue("gateway")
    tls = pellucid.Tls(authority.ca, own.key, own.certificate)
    target = server.target.replace("127.0.0.1", "localhost")
    with pellucid.Client(target, tls=tls) as client:
        assert client.models()
    other = {"x-pellucid-tenant": "somebody-else"}
    with (
        pellucid.Client(target, tls=tls, metadata=other) as client,
        pytest.raises(pellucid.PermissionDeniedError, match="of the tenant 'gateway'"),
    ):
        client.models()
    calls = [event for event in server.events() if event["event"] == "call"]
    assert {event["tenant"] for event in calls if event["status"] == "OK"} == {"gateway"}
