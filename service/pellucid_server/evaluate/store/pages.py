"""Pages, and the tokens that lead from one to the next."""

import base64
import binascii
import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

from pellucid_server.errors import InvalidInput

DEFAULT_SIZE, LARGEST_SIZE = 50, 1000
PLACE = struct.Struct("<dq")
DIGEST_BYTES = 8

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list."""

    items: tuple[T, ...]
    next_token: str
    """Leads to the next page; empty on the last one."""


@dataclass(frozen=True)
class Place:
    """The last item of a page: its key in the order asked for, and its position."""

    key: float
    position: int


def page_size_of(wanted: int) -> int:
    """0: 50; more than 1,000: 1,000.

    Raises:
        InvalidInput: it is negative.
    """
    if wanted < 0:
        raise InvalidInput("page_size must be 0 or more", field="page_size")
    return min(wanted or DEFAULT_SIZE, LARGEST_SIZE)


def encode_token(place: Place, query: object) -> str:
    """A token that leads on from `place`, for this query alone.

    It is checked, not secret: it leads only to what its holder may list anyway.
    """
    payload = _digest(repr(query).encode()) + PLACE.pack(place.key, place.position)
    return base64.urlsafe_b64encode(payload + _digest(payload)).rstrip(b"=").decode()


def decode_token(token: str, query: object) -> Place | None:
    """Where a page begins; None: at the start.

    Raises:
        InvalidInput: the token was changed, or belongs to another query.
    """
    if not token:
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        data = b""
    payload, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if len(payload) != DIGEST_BYTES + PLACE.size or digest != _digest(payload):
        raise _wrong("is damaged")
    if payload[:DIGEST_BYTES] != _digest(repr(query).encode()):
        raise _wrong("belongs to another list, filter or order")
    return Place(*PLACE.unpack(payload[DIGEST_BYTES:]))


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES, person=b"pellucid page").digest()


def _wrong(problem: str) -> InvalidInput:
    return InvalidInput(
        f"page_token {problem}: pass next_page_token of the page before with the same request, "
        "or leave it empty to begin anew",
        field="page_token",
    )
