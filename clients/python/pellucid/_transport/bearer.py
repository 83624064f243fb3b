"""The token that calls send."""

import re
from os import PathLike
from pathlib import Path

from pellucid.errors import InvalidArgumentError

Token = str | PathLike[str]
"""The token itself, or the file that has it, which is read for every call: it may change."""

_VALUE = re.compile(r"[!-~]+")


def bearer(token: Token) -> str:
    """The token, fit for a header.

    Raises:
        InvalidArgumentError: it is not; OSError: its file cannot be read.
    """
    value = token if isinstance(token, str) else Path(token).read_text("utf-8").strip()
    if not _VALUE.fullmatch(value):  # gRPC would refuse it too, and print it
        raise InvalidArgumentError(
            "the token holds a space, a line break or another character that headers cannot "
            "carry, or nothing",
            field="token",
        )
    return value
