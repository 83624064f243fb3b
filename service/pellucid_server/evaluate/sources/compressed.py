"""Compressed tar archives, unpacked once into a temporary file.

They can only be read from the start, and evaluations read in any order, and again: to draw a
row, after a restart. Unpacking for each image would be quadratic; refusing them would leave the
most common archive of data sets, `.tar.gz`, to the user. The temporary file has no name, so that
it is gone with the process however that ends, and `spool_bytes` bounds it.
"""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, BinaryIO, Protocol, cast

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, storage_failure
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.spool import Spool
from pellucid_server.evaluate.sources.stored import Stored

CHUNK = 2**18
_XZ_MEMORY = 256 * 2**20
"""Four times what `xz -9` needs; a file can ask for 4 GiB."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._rest = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        unpacked = self._unpacker.decompress(self._rest + data, max_length)
        self._rest = self._unpacker.unconsumed_tail
        self.needs_input = not self._rest and len(unpacked) < max_length
        return unpacked


try:
    zstd: Any = import_module("compression.zstd")
except ImportError:
    zstd = None
_BROKEN = (zlib.error, lzma.LZMAError, EOFError, OSError, *([zstd.ZstdError] if zstd else []))


def _zstd() -> _Unpacker:
    if zstd is None:
        raise InvalidInput(
            "zstd needs a server on Python 3.14 or later: send a .tar.gz, a tar or a zip",
            field=FIELD,
        )
    return cast("_Unpacker", zstd.ZstdDecompressor())


_UNPACKERS: dict[bytes, Callable[[], _Unpacker]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
    b"\x28\xb5\x2f\xfd": _zstd,
}


def unpacker_of(start: bytes) -> Callable[[], _Unpacker] | None:
    """What unpacks a file that starts so; None: it is not compressed."""
    return next((make for magic, make in _UNPACKERS.items() if start.startswith(magic)), None)


def unpacked(
    packed: Stored, make: Callable[[], _Unpacker], limits: Limits, check: Callable[[], None]
) -> Stored:
    """A temporary copy, unpacked; `check` may raise to give up.

    Raises:
        InvalidInput: it is damaged, or over a limit.
        Overloaded: the disk is full.
    """
    size = 0
    with packed.part() as source, Spool(limits) as spool:
        for chunk in _chunks(source, make, packed.name):
            check()
            size += len(chunk)
            limits.check_ratio(packed.name, packed.size, size)
            spool.write(chunk)
        return spool.stored(packed.name)


def _chunks(source: BinaryIO, make: Callable[[], _Unpacker], name: str) -> Iterator[bytes]:
    """The content of a stream, and of those that follow it; zeros in between are padding."""
    try:
        while data := _after_padding(source):
            unpacker = make()
            while not unpacker.eof:
                if unpacker.needs_input:
                    data = data or source.read(CHUNK)
                    if not data:
                        raise _damaged(name, "it ends too early")
                yield unpacker.decompress(data, CHUNK)
                data = b""
            source.seek(-len(unpacker.unused_data), os.SEEK_CUR)
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno:
            raise storage_failure(error) from error
        raise _damaged(name, str(error)) from error


def _after_padding(source: BinaryIO) -> bytes:
    while chunk := source.read(CHUNK):
        if data := chunk.lstrip(b"\0"):
            return data
    return b""


def _damaged(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"{name} is a damaged archive: {why}", field=FIELD)
