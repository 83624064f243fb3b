from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pellucid_server.__main__ import warn
from pellucid_server.config import Settings
from pellucid_server.network import is_loopback, is_safe_url
from pellucid_server.rpc.access.exposure import ANONYMOUS, OPEN, UNENCRYPTED, warnings

ANY = "0.0.0.0"  # noqa: S104  # nothing binds it here
TLS = {"certificate": "c", "key": "k"}
MUTUAL = {**TLS, "client_ca": "a"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"host": "127.0.0.1"}, []),
        ({"host": "::1"}, []),
        ({"host": "localhost"}, []),
        ({"host": ANY}, [OPEN]),
        ({"host": "::"}, [OPEN]),
        ({"host": "pod-1.example"}, [OPEN]),
        ({"host": "::", "tls": TLS}, [OPEN]),
        ({"host": "::", "tls": MUTUAL}, []),
        ({"host": "::", "auth": {"tokens": "t"}}, [UNENCRYPTED]),
        ({"host": "::", "auth": {"tokens": "t"}, "tls": TLS}, []),
        ({"host": "::", "auth": {"tokens": "t", "anonymous": True}, "tls": TLS}, [ANONYMOUS]),
        ({"host": "::", "auth": {"oidc": {"issuer": "https://a", "audience": "b"}}}, [UNENCRYPTED]),
    ],
)
def test_what_is_unsafe_beyond_this_machine_is_told(
    settings: dict[str, Any], expected: list[str]
) -> None:
    assert list(warnings(Settings.model_validate(settings))) == expected


def test_the_server_says_so_when_it_starts() -> None:
    with capture_logs() as logs:
        warn(Settings(host=ANY, state=Path()))
    assert logs == [{"event": OPEN, "log_level": "warning"}]


def test_loopback_is_this_machine_alone() -> None:
    assert is_loopback("127.8.9.1")
    assert not is_loopback("127.0.0.1.example.org")
    assert not is_loopback("")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://issuer.example", True),
        ("http://localhost:8080/realms/x", True),
        ("http://issuer.example", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("issuer.example", False),
    ],
)
def test_only_what_nobody_on_the_way_can_change_is_safe(url: str, safe: bool) -> None:  # noqa: FBT001 - a table
    assert is_safe_url(url) is safe
