from collections.abc import Mapping, Sequence

import pytest

from pellucid_server.errors import PermissionDenied, Unauthenticated
from pellucid_server.rpc.access.authenticate import Authenticator
from pellucid_server.rpc.access.identity import Identity, Proof
from pellucid_server.rpc.access.tokens import TokenEntry, Tokens, digest_of

SECRET = "a-token"  # noqa: S105  # of these tests alone
ENTRY = TokenEntry(tenant="team-a", sha256=digest_of(SECRET).hex())
TOKENS = Tokens({digest_of(SECRET): ENTRY})
PEER = {"x509_common_name": [b"gateway"], "peer_uri": [b"spiffe://x/gate", b"spiffe://x/other"]}


class Provider:
    """Takes every token."""

    def verify(self, token: str) -> Identity:
        return Identity(token[0], Proof.OIDC)


def identify(
    authenticator: Authenticator,
    *authorizations: str | bytes,
    claimed: str | None = None,
    peer: Mapping[str, Sequence[bytes]] = PEER,
) -> Identity:
    metadata = [("x-other", "1"), *(("authorization", value) for value in authorizations)]
    return authenticator.identify(metadata, lambda: peer, claimed)


BY_TOKEN = Authenticator(lambda: TOKENS)
BY_BOTH = Authenticator(lambda: TOKENS, Provider())
BY_CERTIFICATE = Authenticator(certificate="common_name")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_a_token_names_its_tenant(scheme: str) -> None:
    assert identify(BY_TOKEN, scheme + SECRET) == Identity("team-a", Proof.TOKEN)


@pytest.mark.parametrize(
    "authorizations",
    [
        [],
        ["Bearer wrong"],
        ["Bearer a.b.c"],
        ["Bearer"],
        ["Bearer "],
        [SECRET],
        ["Basic " + SECRET],
        [f"Bearer {SECRET}", f"Bearer {SECRET}"],
        [f"Bearer {SECRET} more"],
        [b"Bearer " + SECRET.encode()],
        ["Bearer " + "x" * 20_000],
    ],
)
def test_without_a_good_token_nobody_is_let_in(authorizations: list[str | bytes]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        identify(BY_TOKEN, *authorizations)
    assert "token" in caught.value.message
    assert SECRET not in caught.value.message


def test_what_the_file_does_not_have_may_be_a_token_of_the_provider() -> None:
    assert identify(BY_BOTH, "Bearer " + SECRET).proof is Proof.TOKEN
    assert identify(BY_BOTH, "Bearer x.y.z") == Identity("x", Proof.OIDC)
    with pytest.raises(Unauthenticated, match="not known here"):
        identify(BY_BOTH, "Bearer no-jwt")


def test_anonymous_callers_are_let_in_where_the_settings_say_so() -> None:
    """A wrong token is wrong all the same."""
    lenient = Authenticator(lambda: TOKENS, anonymous=True)
    assert identify(lenient) == Identity("", Proof.NOTHING)
    with pytest.raises(Unauthenticated):
        identify(lenient, "Bearer wrong")
    with pytest.raises(PermissionDenied):
        identify(lenient, claimed="team-a")


def test_a_caller_may_say_its_own_name_and_no_other() -> None:
    assert identify(BY_TOKEN, f"Bearer {SECRET}", claimed="team-a").tenant == "team-a"
    with pytest.raises(PermissionDenied, match="of the tenant 'team-a'"):
        identify(BY_TOKEN, f"Bearer {SECRET}", claimed="team-b")
    with pytest.raises(PermissionDenied, match="of the tenant 'gateway'"):
        identify(BY_CERTIFICATE, claimed="team-b")


def test_a_certificate_names_its_tenant() -> None:
    assert identify(BY_CERTIFICATE) == Identity("gateway", Proof.CERTIFICATE)
    by_uri = Authenticator(certificate="uri")
    assert identify(by_uri) == Identity("spiffe://x/gate", Proof.CERTIFICATE)


@pytest.mark.parametrize("names", [[], [b""], [b"two words"], [b"\xff"]])
def test_a_certificate_that_names_nobody_is_refused(names: list[bytes]) -> None:
    with pytest.raises(Unauthenticated, match=r"no common name .*auth\.certificate_tenant"):
        identify(BY_CERTIFICATE, peer={"x509_common_name": names})


def test_a_certificate_is_no_token() -> None:
    with pytest.raises(Unauthenticated, match="asks for a token"):
        identify(Authenticator(lambda: TOKENS, certificate="common_name"))


def test_without_proof_callers_are_who_they_say() -> None:
    assert identify(Authenticator(), claimed="team-a") == Identity("team-a")
    assert identify(Authenticator(), "Bearer whatever") == Identity("")
