import hashlib
from pathlib import Path

import pytest

from pellucid_server.errors import Unauthenticated
from pellucid_server.rpc.access.identity import Identity, Proof
from pellucid_server.rpc.access.tokens import Tokens, read_tokens

SECRET = "pellucid_a-token-that-nobody-guesses"  # noqa: S105  # of these tests alone
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


def tokens(text: str) -> Tokens:
    return read_tokens([text.encode()], Path("tokens.yaml"))


def test_a_token_is_found_by_its_hash() -> None:
    found = tokens(f"tokens: [{{tenant: team-a, sha256: {DIGEST}, note: Ann}}]")
    assert found.find(SECRET) == Identity("team-a", Proof.TOKEN)
    assert found.find(SECRET + "x") is None
    assert found.find(DIGEST) is None


@pytest.mark.parametrize("expires", ["2001-01-01", "2001-01-01T00:00:00Z", "2001-01-01 00:00:00"])
def test_an_expired_token_is_refused_with_the_time_it_expired(expires: str) -> None:
    found = tokens(f"tokens: [{{tenant: a, sha256: {DIGEST}, expires: {expires}}}]")
    with pytest.raises(Unauthenticated, match=r"expired at 2001-01-01T00:00:00\+00:00"):
        found.find(SECRET)


def test_a_token_that_expires_later_is_good() -> None:
    found = tokens(f"tokens: [{{tenant: a, sha256: {DIGEST}, expires: 2999-01-01T00:00:00+02:00}}]")
    assert found.find(SECRET)


def test_an_empty_file_has_no_tokens() -> None:
    assert not tokens("").entries
    assert not tokens("tokens: []").entries


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"tokens: [{{tenant: a, sha256: {SECRET}}}]", r"tokens\.0\.sha256"),
        (f"tokens: [{{tenant: a, token: {SECRET}}}]", r"tokens\.0\.token is not known"),
        (f"tokens: [{{tenant: 'a b', sha256: {DIGEST}}}]", r"tokens\.0\.tenant"),
        (f"tokens: [{{tenant: 7, sha256: {DIGEST}}}]", r"tokens\.0\.tenant: .*string"),
        (f"tokens: [{{tenant: a, sha256: {DIGEST}, expires: soon}}]", r"tokens\.0\.expires"),
        (f"tokens: [{{tenant: {SECRET}", r"is not YAML, line \d"),
        (f"{SECRET}", r"tokens\.yaml: "),
        (
            f"tokens: [{{tenant: a, sha256: {DIGEST}}}, {{tenant: b, sha256: {DIGEST.upper()}}}]",
            "stands there twice",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_what_stands_in_it(
    text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        tokens(text)
    assert SECRET not in str(caught.value)
    assert DIGEST not in str(caught.value)
