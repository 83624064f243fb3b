"""The keys of an identity provider."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.request import HTTPSHandler, Request, build_opener

import structlog
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWTError

from pellucid_server.config import Oidc
from pellucid_server.errors import ProviderUnavailable
from pellucid_server.network import is_safe_url

PAUSE = 10.0
"""Seconds between fetches, whatever callers send: of unknown keys, of a provider in trouble."""
STALE = 24 * 3600.0
"""Seconds for which keys are good where the provider cannot be asked again."""
PATIENCE = 1.0
"""Seconds for which a call waits for another one's fetch."""
DISCOVERY = "/.well-known/openid-configuration"

log = structlog.get_logger()


@dataclass(frozen=True)
class Provider:
    """An identity provider on the network."""

    settings: Oidc

    def keys(self) -> Mapping[str, PyJWK]:
        """Its keys of signatures, by their ids.

        Raises:
            OSError, ValueError, PyJWTError, HTTPException: it did not answer, or not as it should.
        """
        url = self.settings.jwks or self._discovered()
        client = PyJWKClient(
            url,
            cache_jwk_set=False,
            timeout=self.settings.timeout_seconds,
            ssl_context=self._context(),
        )
        found = PyJWKSet.from_dict(client.fetch_data()).keys
        usable = [key for key in found if key.public_key_use in {"sig", None}]
        return {key.key_id or "": key for key in usable}

    def _discovered(self) -> str:
        issuer = self.settings.issuer or ""
        opener = build_opener(HTTPSHandler(context=self._context()))
        request = Request(issuer.rstrip("/") + DISCOVERY)  # noqa: S310  # the settings allow http(s)
        with opener.open(request, timeout=self.settings.timeout_seconds) as response:
            document = json.load(response)
            answered = response.url
        if not is_safe_url(answered) or not isinstance(document, dict):
            raise ValueError(f"{answered} does not describe {issuer}")
        if document.get("issuer") != issuer:
            raise ValueError(f"{issuer} describes itself as another issuer")
        url = str(document["jwks_uri"])
        if not is_safe_url(url):
            raise ValueError(f"{issuer} has its keys at {url}, which is not https")
        return url

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.settings.ca)


@dataclass
class Keys:
    """Keys at hand: fetched at start, when they are old, and for an unknown id, seldom enough."""

    fetch: Callable[[], Mapping[str, PyJWK]]
    lifetime: float
    pause: float = PAUSE
    clock: Callable[[], float] = time.monotonic
    on_fetch: Callable[[], None] = lambda: None
    _keys: Mapping[str, PyJWK] = field(default_factory=dict)
    _fetched: float = float("-inf")
    _tried: float = float("-inf")
    _failed: bool = False
    _fetching: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key_id: str | None) -> PyJWK | None:
        """The key of that id; without an id, the only one there is.

        Raises:
            ProviderUnavailable: it cannot be told now.
        """
        found = self._at_hand(key_id)
        if found is None:
            if not self._fetching.acquire(timeout=PATIENCE):
                raise _no_answer()
            try:
                found = self._fetched_for(key_id)
            finally:
                self._fetching.release()
        if found is None and (self._failed or not self._keys):
            raise _no_answer()
        return found

    def look(self) -> None:
        """Fetches what is old."""
        if self.clock() - self._fetched < self.lifetime or not self._fetching.acquire(
            blocking=False
        ):
            return
        try:
            self._fetch()
        finally:
            self._fetching.release()

    def _at_hand(self, key_id: str | None) -> PyJWK | None:
        if self.clock() - self._fetched > max(STALE, self.lifetime):
            return None
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _fetched_for(self, key_id: str | None) -> PyJWK | None:
        """The key, fetched unless another call did so meanwhile."""
        if self._at_hand(key_id) is None:
            self._fetch()
        return self._at_hand(key_id)

    def _fetch(self) -> None:
        """Asks the provider, unless it was asked a moment ago."""
        if self.clock() - self._tried < self.pause:
            return
        try:
            keys = self.fetch()
        except (OSError, ValueError, KeyError, PyJWTError, HTTPException) as error:
            self._failed = True
            log.warning("cannot fetch the identity provider's keys", reason=str(error))
        else:
            self._keys, self._fetched, self._failed = keys, self.clock(), False
            self.on_fetch()
        finally:
            self._tried = self.clock()


def _no_answer() -> ProviderUnavailable:
    return ProviderUnavailable(
        "the identity provider does not answer, so that the token cannot be checked: try again in "
        "a few seconds"
    )
