"""When a certificate ends, which Python's ssl tells only of the other side of a connection."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
UTC_TIME, GENERALIZED_TIME, VERSION = 0x17, 0x18, 0xA0
FORMATS = {UTC_TIME: "%y%m%d%H%M%SZ", GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}


def expiry(pem: bytes) -> float:
    """Seconds since 1970 at which the first certificate ends; NaN where that cannot be read.

    RFC 5280, 4.1: Certificate > TBSCertificate > [version], serial, algorithm, issuer, validity.
    """
    found = PEM.search(pem)
    try:
        der = ssl.PEM_cert_to_DER_cert(found[0].decode()) if found else b""
        ((_, certificate), *_) = _parts(der)
        ((_, body), *_) = _parts(certificate)
        parts = list(_parts(body))
        if parts[0][0] == VERSION:
            del parts[0]
        _, (tag, end) = _parts(parts[3][1])
        return datetime.strptime(end.decode(), FORMATS[tag]).replace(tzinfo=UTC).timestamp()
    except (ValueError, LookupError):
        return float("nan")


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of what stands in a row."""
    place = 0
    while place < len(der):
        tag, length, place = der[place], der[place + 1], place + 2
        if length >= 0x80:
            count = length - 0x80
            length, place = int.from_bytes(der[place : place + count]), place + count
        yield tag, der[place : place + length]
        place += length
