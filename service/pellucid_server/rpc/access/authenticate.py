"""Who calls: by a token, else by the client's certificate, else nobody knows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pellucid_server.errors import PermissionDenied, Unauthenticated
from pellucid_server.rpc.access.credential import HOW, Metadata, Name, Peer, bearer, certified
from pellucid_server.rpc.access.identity import SANE, Identity, Proof
from pellucid_server.rpc.access.tokens import Tokens


class Provider(Protocol):
    """Tokens of an identity provider."""

    def verify(self, token: str) -> Identity:
        """Whose token it is."""


@dataclass(frozen=True)
class Authenticator:
    """Tells who calls, by what the settings take for proof."""

    tokens: Callable[[], Tokens] | None = None
    provider: Provider | None = None
    certificate: Name | None = None
    """What names the tenant in a client's certificate, where these are asked for."""
    anonymous: bool = False
    """Whether callers without a token are let in where there are tokens."""

    @property
    def by_token(self) -> bool:
        """Whether it looks at tokens."""
        return self.tokens is not None or self.provider is not None

    @property
    def proves(self) -> bool:
        """Whether names of tenants are proven, not taken on trust."""
        return self.by_token or self.certificate is not None

    def identify(
        self, metadata: Metadata, peer: Callable[[], Peer], claimed: str | None
    ) -> Identity:
        """Who calls; `claimed` is the tenant that the caller says to be. May ask a provider.

        Raises:
            Unauthenticated: it is not known who calls, and must be.
            PermissionDenied: the caller says to be somebody else.
            ProviderUnavailable: the identity provider does not answer.
        """
        if not self.proves:
            return Identity(claimed or "")
        identity = self._by_token(metadata) if self.by_token else self._by_certificate(peer())
        if claimed not in {None, identity.tenant}:
            raise PermissionDenied(
                f"the call is of the tenant {identity.tenant!r}: name it in x-pellucid-tenant, "
                "or leave that out"
            )
        return identity

    def _by_token(self, metadata: Metadata) -> Identity:
        token = bearer(metadata)
        if token is None:
            if self.anonymous:
                return Identity()
            raise Unauthenticated(f"this server asks for a token: {HOW}")
        if found := self._kept(token):
            return found
        if self.provider and token.count(".") == 2:
            return self.provider.verify(token)
        raise Unauthenticated("the token is not known here: ask whoever runs the server for one")

    def _kept(self, token: str) -> Identity | None:
        return self.tokens().find(token) if self.tokens else None

    def _by_certificate(self, peer: Peer) -> Identity:
        assert self.certificate  # noqa: S101  # asked only where it is set
        name = certified(peer, self.certificate)
        if name is None or not SANE.fullmatch(name):
            kind = self.certificate.replace("_", " ")
            raise Unauthenticated(
                f"the client's certificate has no {kind} that names a tenant: present another "
                "one, or have auth.certificate_tenant changed"
            )
        return Identity(name, Proof.CERTIFICATE)
