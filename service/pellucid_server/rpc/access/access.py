"""Access control of a server: who calls, and whether it may."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

import grpc

from pellucid_server.config import Oidc, Settings, StartError
from pellucid_server.engine.engine import Engine
from pellucid_server.errors import PermissionDenied
from pellucid_server.rpc.access.authenticate import Authenticator, Provider
from pellucid_server.rpc.access.authorise import Authoriser
from pellucid_server.rpc.access.credential import Peer
from pellucid_server.rpc.access.identity import EVERYTHING, OWN, Caller, Grant, Identity
from pellucid_server.rpc.access.policy import Policy, read_policy
from pellucid_server.rpc.access.tokens import read_tokens
from pellucid_server.rpc.access.watched import Looks, Watched
from pellucid_server.telemetry.metrics import Metrics

T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """What every call passes: `admit` before it is done, `authoriser` when its request is read."""

    authenticator: Authenticator
    policy: Callable[[], Policy] | None
    authoriser: Authoriser
    files: tuple[Looks, ...] = ()
    """What `authenticator` and `policy` look at."""

    @cached_property
    def open(self) -> bool:
        """Whether it lets everybody do everything, and takes names of tenants on trust."""
        return not self.authenticator.proves and self.policy is None

    def admit(self, method: str, context: grpc.ServicerContext, claimed: str | None) -> Caller:
        """Who makes a call of a method, `package.Service/Method`.

        Raises:
            Unauthenticated: it is not known who calls, and must be.
            PermissionDenied: the caller may not call it, or says to be somebody else.
            ProviderUnavailable: the identity provider does not answer.
        """
        if self.open:
            return _anybody(claimed or "")
        peer = cast("Callable[[], Peer]", context.auth_context)  # lists, whatever the stubs say
        identity = self.authenticator.identify(context.invocation_metadata(), peer, claimed)
        caller = Caller(identity, self._grant(identity))
        if not caller.grant.allows(method):
            short = method.rpartition("/")[2]
            raise PermissionDenied(
                f"{caller.who} may not call {short}: ask whoever runs the server to allow it"
            )
        return caller

    def _grant(self, identity: Identity) -> Grant:
        return self.policy().grant(identity) if self.policy else OWN


@lru_cache(maxsize=1024)  # names come from callers
def _anybody(tenant: str) -> Caller:
    """Where nobody has to prove anything."""
    return Caller(Identity(tenant), EVERYTHING)


def build_access(engine: Engine, settings: Settings, metrics: Metrics) -> Access:
    """Access control as the settings have it.

    Raises:
        StartError: a file cannot be used, or the extra `oidc` is not installed.
    """
    auth, looks = settings.auth, list[Looks]()

    def watched(kind: str, path: Path, parse: Callable[..., T]) -> Callable[[], T]:
        files = Watched(kind, [path], partial(parse, path=path), metrics)
        looks.append(files)
        return lambda: files.value

    tokens = watched("tokens", auth.tokens, read_tokens) if auth.tokens else None
    policy = watched("policy", auth.policy, read_policy) if auth.policy else None
    provider, keys = _provider(auth.oidc) if auth.oidc.issuer else (None, [])
    certificate = auth.certificate_tenant if settings.tls.client_ca else None
    authenticator = Authenticator(tokens, provider, certificate, anonymous=auth.anonymous)
    return Access(authenticator, policy, Authoriser(engine), (*looks, *keys))


def _provider(settings: Oidc) -> tuple[Provider, Collection[Looks]]:
    if not (find_spec("jwt") and find_spec("cryptography")):
        raise StartError("auth.oidc needs an extra: pip install 'pellucid[server,oidc]'")
    from pellucid_server.rpc.access.oidc import oidc_tokens  # noqa: PLC0415  # the extra

    tokens = oidc_tokens(settings)
    return tokens, (tokens.keys,)
