import base64
import json
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import jwt
import pytest
from structlog.testing import capture_logs

from pellucid_server.config import Oidc
from pellucid_server.errors import ProviderUnavailable, Unauthenticated
from pellucid_server.rpc.access import jwks, oidc
from pellucid_server.rpc.access.identity import Identity, Proof
from pellucid_server.rpc.access.oidc import OidcTokens, oidc_tokens


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(provider: Any, clock: Clock) -> Callable[..., OidcTokens]:
    """Checks tokens of the provider, as settings have it."""

    def made(**settings: Any) -> OidcTokens:
        values = {
            "issuer": provider.issuer,
            "audience": provider.audience,
            "timeout_seconds": 5,
            **settings,
        }
        tokens = oidc_tokens(Oidc.model_validate(values))
        tokens.clock = tokens.keys.clock = clock
        return tokens

    return made


def unsigned(provider: Any, **header: Any) -> str:
    """A token with another header, and no signature."""
    _, payload, _ = provider.token().split(".")
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}."


def test_a_good_token_names_its_tenant(make: Any, provider: Any) -> None:
    assert make().verify(provider.token()) == Identity("ann", Proof.OIDC)


def test_the_settings_say_which_claim_names_the_tenant(make: Any, provider: Any) -> None:
    tokens = make(tenant_claim="https://example.org/team")
    assert tokens.verify(provider.token(**{"https://example.org/team": "vision"})) == Identity(
        "vision", Proof.OIDC
    )
    for name in (None, 7, ["a"], "two words", "x" * 257):
        with pytest.raises(Unauthenticated, match=r"https://example\.org/team names no tenant"):
            tokens.verify(provider.token(**{"https://example.org/team": name}))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "it expired"),
        ({"exp": None}, "lacks the claim exp"),
        ({"exp": "soon"}, "no JWT that can be read"),
        ({"nbf": 4e9}, "not valid yet"),
        ({"iss": "https://elsewhere"}, "of another issuer"),
        ({"iss": None}, "lacks the claim iss"),
        ({"aud": "another service"}, "another audience"),
        ({"aud": None}, "lacks the claim aud"),
        ({"sub": None}, "names no tenant"),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_its_reason(
    make: Any, provider: Any, claims: dict[str, Any], reason: str
) -> None:
    token = provider.token(**claims)
    with pytest.raises(Unauthenticated, match=reason) as caught:
        make().verify(token)
    assert token not in str(caught.value)


def test_nothing_unsigned_is_taken(make: Any, provider: Any) -> None:
    """Neither `none`, nor a shared secret: not even the public key as one."""
    tokens = make()
    for header in ({"alg": "none"}, {"alg": "none", "kid": "first"}, {"alg": "HS256"}, {}):
        with pytest.raises(Unauthenticated):
            tokens.verify(unsigned(provider, **header))
    forged = jwt.encode({"iss": provider.issuer}, "a shared secret of 32 letters...")
    with pytest.raises(Unauthenticated, match="of a kind that is not taken"):
        tokens.verify(forged)


def test_settings_cannot_allow_shared_secrets() -> None:
    for algorithm in ("none", "HS256", "rs256"):
        with pytest.raises(ValueError, match="must be among RS256"):
            Oidc.model_validate({"algorithms": algorithm})


def test_a_signature_of_somebody_else_is_refused(make: Any, provider: Any) -> None:
    tokens, other = make(), type(provider)(provider.issuer)
    with pytest.raises(Unauthenticated, match="signature is wrong"):
        tokens.verify(other.token())


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "...", "\x00", "e30.e30.e30"])
def test_what_is_no_token_is_refused(make: Any, token: str) -> None:
    with pytest.raises(Unauthenticated):
        make().verify(token)


def test_a_new_key_is_fetched_when_it_is_met(make: Any, provider: Any, clock: Clock) -> None:
    """And an old one is good no more, nor are tokens that it signed."""
    tokens = make()
    old = provider.token()
    tokens.verify(old)
    provider.rotate("second")
    clock.now += 11
    assert tokens.verify(provider.token()).tenant == "ann"
    with pytest.raises(Unauthenticated, match="a key that its issuer does not have"):
        tokens.verify(old)


def test_unknown_keys_do_not_make_it_ask_again_and_again(
    make: Any, provider: Any, clock: Clock
) -> None:
    tokens = make()
    tokens.verify(provider.token())
    clock.now += 11
    stranger = type(provider)(provider.issuer)
    for number in range(50):
        stranger.rotate(f"unknown-{number}")
        with pytest.raises(Unauthenticated, match="a key that its issuer does not have"):
            tokens.verify(stranger.token())
    assert provider.fetched == 2


def test_a_checked_token_is_not_checked_again_until_it_expires(
    make: Any, provider: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, token = make(leeway_seconds=0), provider.token(exp=time.time() + 60)
    checks = Mock(wraps=jwt.decode)
    monkeypatch.setattr(jwt, "decode", checks)
    for _ in range(3):
        assert tokens.verify(token).tenant == "ann"
    assert checks.call_count == 1
    clock.now += 61
    tokens.verify(token)
    assert checks.call_count == 2


def test_what_is_remembered_is_bounded(
    make: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "REMEMBERED", 3)
    tokens = make()
    for number in range(10):
        tokens.verify(provider.token(jti=str(number + 1)))
    assert len(tokens._known) == 3


def test_a_provider_in_trouble_is_told_at_once_and_not_asked_by_every_call(
    make: Any, provider: Any, clock: Clock
) -> None:
    provider.status = 503
    tokens = make()
    with capture_logs() as logs:
        for _ in range(5):
            with pytest.raises(ProviderUnavailable, match="does not answer"):
                tokens.verify(provider.token())
    assert len(logs) == 1
    provider.status = 200
    clock.now += 11
    assert tokens.verify(provider.token()).tenant == "ann"


def test_keys_at_hand_outlive_a_provider_in_trouble(make: Any, provider: Any, clock: Clock) -> None:
    """But not for ever."""
    tokens = make(leeway_seconds=0)
    tokens.verify(provider.token())
    provider.status = 503
    clock.now += 4000
    with capture_logs():
        tokens.keys.look()
        assert tokens.verify(provider.token(exp=clock.now + 60)).tenant == "ann"
        clock.now += oidc.RECHECK + 25 * 3600
        with pytest.raises(ProviderUnavailable):
            tokens.verify(provider.token(exp=clock.now + 60))


def test_old_keys_are_fetched_in_the_background(make: Any, provider: Any, clock: Clock) -> None:
    tokens = make(cache_seconds=60)
    tokens.keys.look()
    tokens.keys.look()
    assert provider.fetched == 1
    clock.now += 61
    tokens.keys.look()
    assert provider.fetched == 2


def test_keys_can_be_named_instead_of_discovered(make: Any, provider: Any) -> None:
    tokens = make(jwks=f"{provider.issuer}/elsewhere")
    assert tokens.verify(provider.token()).tenant == "ann"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://elsewhere", "jwks_uri": "https://elsewhere/keys"},
        {"issuer": "{issuer}", "jwks_uri": "http://example.org/keys"},
        {"issuer": "{issuer}", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{issuer}"},
        [],
    ],
)
def test_a_description_that_is_not_the_providers_is_not_followed(
    make: Any, provider: Any, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if document and document["issuer"] == "{issuer}":
        document = {**document, "issuer": provider.issuer}
    monkeypatch.setattr(provider, "document", lambda _: document)
    with capture_logs() as logs, pytest.raises(ProviderUnavailable):
        make().verify(provider.token())
    assert logs[0]["event"] == "cannot fetch the identity provider's keys"


def test_calls_do_not_wait_long_for_a_provider_that_is_slow(
    make: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for it; the others end."""
    monkeypatch.setattr(jwks, "PATIENCE", 0.01)
    tokens = make()
    tokens.verify(provider.token())
    provider.rotate("second")
    with tokens.keys._fetching, pytest.raises(ProviderUnavailable):
        tokens.verify(provider.token())
