"""Tokens that stand in a file, as hashes.

Tokens are random, 256 bits, so that SHA-256 is the right hash: what makes password hashes slow
protects secrets that can be guessed.
"""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from pellucid_server.errors import Unauthenticated
from pellucid_server.rpc.access.documents import parse_document
from pellucid_server.rpc.access.identity import SANE, Identity, Proof

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", strict=True)]
Tenant = Annotated[str, StringConstraints(pattern=rf"^{SANE.pattern}$", strict=True)]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class TokenEntry(BaseModel):
    """A token of a tenant: `expires` is UTC where it does not say; `note` is for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Tenant
    sha256: Digest
    expires: Annotated[datetime, AfterValidator(_aware)] | None = None
    note: str = ""


class TokenFile(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Annotated[tuple[TokenEntry, ...], Field(strict=False)] = ()


@dataclass(frozen=True)
class Tokens:
    """Entries by digest."""

    entries: Mapping[bytes, TokenEntry]
    clock: Callable[[], float] = time.time

    def find(self, token: str) -> Identity | None:
        """Whose token it is, where it stands here.

        Raises:
            Unauthenticated: it expired.
        """
        digest = digest_of(token)
        entry = self.entries.get(digest)
        # The look-up compares hashes, of which its duration tells nothing; this is for certain.
        if entry is None or not hmac.compare_digest(bytes.fromhex(entry.sha256), digest):
            return None
        if entry.expires and entry.expires.timestamp() <= self.clock():
            raise Unauthenticated(
                f"the token expired at {entry.expires.isoformat()}: get a new one"
            )
        return Identity(entry.tenant, Proof.TOKEN)


def read_tokens(contents: Sequence[bytes], path: Path) -> Tokens:
    """The tokens of a file.

    Raises:
        ValueError: it is no such file, or holds a token twice.
    """
    entries: dict[bytes, TokenEntry] = {}
    for place, entry in enumerate(parse_document(TokenFile, contents[0], path).tokens):
        digest = bytes.fromhex(entry.sha256)
        if digest in entries:
            raise ValueError(f"{path}: tokens.{place}.sha256 stands there twice")
        entries[digest] = entry
    return Tokens(entries)


def digest_of(token: str) -> bytes:
    """What the file keeps of a token."""
    return sha256(token.encode()).digest()
