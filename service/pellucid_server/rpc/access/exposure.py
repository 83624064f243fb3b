"""What whoever starts a server should know of who can reach it."""

from collections.abc import Iterator

from pellucid_server.config import Settings
from pellucid_server.network import is_loopback

OPEN = (
    "anybody who reaches this address may use the server: set auth.tokens, auth.oidc.issuer or "
    "tls.client_ca, or see that only trusted callers reach it"
)
ANONYMOUS = "calls without a token are let in beyond this machine: see that auth.policy bounds them"
UNENCRYPTED = "tokens travel unencrypted: set tls.certificate and tls.key"


def warnings(settings: Settings) -> Iterator[str]:
    """A line for each thing that is unsafe beyond this machine."""
    if is_loopback(settings.host):
        return
    auth = settings.auth
    if not auth.by_token and not settings.tls.client_ca:
        yield OPEN
    elif auth.by_token and auth.anonymous:
        yield ANONYMOUS
    if auth.by_token and not settings.tls.certificate:
        yield UNENCRYPTED
