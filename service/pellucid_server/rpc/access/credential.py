"""What a call shows of its caller."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pellucid_server.errors import Unauthenticated

AUTHORIZATION = "authorization"
BEARER = re.compile(r"bearer +([!-~]{1,16384})", re.IGNORECASE)
HOW = "send the metadata `authorization: Bearer TOKEN`"

Metadata = Iterable[tuple[str, str | bytes]]
Peer = Mapping[str, Sequence[bytes]]
"""gRPC's description of a connection, the client's certificate among it."""
Name = Literal["common_name", "dns", "uri"]

PROPERTIES: Mapping[Name, str] = {
    "common_name": "x509_common_name",
    "dns": "peer_dns",
    "uri": "peer_uri",
}


def bearer(metadata: Metadata) -> str | None:
    """The token of a call; None: it has none.

    Raises:
        Unauthenticated: what it has is no bearer token, or there are several.
    """
    found = [value for key, value in metadata if key == AUTHORIZATION]
    if not found:
        return None
    (first, *others) = found
    token = BEARER.fullmatch(first) if isinstance(first, str) else None
    if others or token is None:
        raise Unauthenticated(f"the authorization is not one bearer token: {HOW}")
    return token[1]


def certified(peer: Peer, name: Name) -> str | None:
    """The name in the client's certificate: the first of its kind; None: it has none."""
    values = peer.get(PROPERTIES[name]) or ()
    return values[0].decode(errors="replace") if values else None
