"""Tokens that an identity provider signed (OpenID Connect, JWT)."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt

from pellucid_server.config import Oidc
from pellucid_server.errors import Unauthenticated
from pellucid_server.rpc.access.identity import SANE, Identity, Proof
from pellucid_server.rpc.access.jwks import Keys, Provider
from pellucid_server.rpc.access.tokens import digest_of

REMEMBERED = 4096
"""Checked tokens at hand."""
RECHECK = 300.0
"""Seconds after which a token is checked again: its key may be gone."""
REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "it expired: get a new one"),
    (jwt.ImmatureSignatureError, "it is not valid yet: compare the clocks"),
    (jwt.InvalidIssuedAtError, "it is not valid yet: compare the clocks"),
    (jwt.InvalidAudienceError, "it is meant for another audience: ask for one for this server"),
    (jwt.InvalidIssuerError, "it is of another issuer"),
    (jwt.InvalidSignatureError, "its signature is wrong"),
    (jwt.InvalidAlgorithmError, "its signature is of a kind that is not taken here"),
)


@dataclass
class OidcTokens:
    """Checks tokens, and remembers those that are good."""

    settings: Oidc
    keys: Keys
    clock: Callable[[], float] = time.time
    _known: dict[bytes, tuple[Identity, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def verify(self, token: str) -> Identity:
        """Whose token it is; may ask the provider.

        Raises:
            Unauthenticated: it is not good; the message says why.
            ProviderUnavailable: that cannot be told now.
        """
        known, until = self._known.get(digest_of(token), (None, 0.0))
        if known and self.clock() < until:
            return known
        try:
            claims = self._claims(token)
        except jwt.MissingRequiredClaimError as error:
            raise _bad(f"it lacks the claim {error.claim}") from None
        except jwt.PyJWTError as error:
            reasons = (text for kind, text in REASONS if isinstance(error, kind))
            raise _bad(next(reasons, "it is no JWT that can be read")) from None
        identity = Identity(self._tenant(claims), Proof.OIDC)
        self._remember(token, identity, float(claims["exp"]))
        return identity

    def forget(self) -> None:
        """Has every token checked again."""
        with self._lock:
            self._known.clear()

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in self.settings.algorithms:
            raise jwt.InvalidAlgorithmError
        key = self.keys.find(header.get("kid"))
        if key is None:
            raise _bad("it is signed with a key that its issuer does not have")
        return jwt.decode(
            token,
            key,
            algorithms=list(self.settings.algorithms),
            audience=self.settings.audience,
            issuer=self.settings.issuer,
            leeway=self.settings.leeway_seconds,
            options={"require": ["exp", "iss", "aud"]},
        )

    def _tenant(self, claims: dict[str, Any]) -> str:
        name = claims.get(self.settings.tenant_claim)
        if not isinstance(name, str) or not SANE.fullmatch(name):
            raise _bad(f"its claim {self.settings.tenant_claim} names no tenant")
        return name

    def _remember(self, token: str, identity: Identity, expiry: float) -> None:
        until = min(expiry + self.settings.leeway_seconds, self.clock() + RECHECK)
        with self._lock:
            while len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest_of(token)] = (identity, until)


def oidc_tokens(settings: Oidc) -> OidcTokens:
    """Those of the provider of the settings, which is not asked yet."""
    keys = Keys(Provider(settings).keys, settings.cache_seconds)
    tokens = OidcTokens(settings, keys)
    keys.on_fetch = tokens.forget
    return tokens


def _bad(reason: str) -> Unauthenticated:
    return Unauthenticated(f"the token is not taken: {reason}")
