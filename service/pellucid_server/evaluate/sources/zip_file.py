"""Zip archives, read in place: members are found by the directory at the archive's end.

Source: APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16, 4.4 and 4.5.3 (ZIP64). Python's `zipfile`
is not used, because it keeps an object for each member in memory.
"""

import stat
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD
from pellucid_server.evaluate.sources.index import Index
from pellucid_server.evaluate.sources.indexed import Indexed, single_root
from pellucid_server.evaluate.sources.inflate import Inflated, Summed
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.stored import Part, Stored, buffered

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s2B5H3L5H2L")
_LOCAL = struct.Struct("<4s22x2H")
_PLACE = struct.Struct("<QQHL")
STORED, DEFLATED = 0, 8
_LONGEST_COMMENT = 2**16
_WINDOWS, _UNIX = 0, 3
_ENCRYPTED, _UTF8 = 0x1, 0x800
_IN_EXTRA = 0xFFFFFFFF


class _Member(NamedTuple):
    name: str
    start: int
    packed: int
    size: int
    method: int
    crc: int
    mode: int


class ZipFiles(Indexed):
    """The files of a zip archive; links in it are left out."""

    def __init__(self, archive: Stored, limits: Limits, check: Callable[[], None]) -> None:
        """Raises InvalidInput where it is damaged, encrypted, or over a limit."""
        index = Index(limits)
        for member in _members(archive):
            check()
            if member.name.endswith("/") or stat.S_ISLNK(member.mode):
                continue
            limits.check_ratio(member.name, member.packed, member.size)
            place = _PLACE.pack(member.start, member.packed, member.method, member.crc)
            index.add(member.name, member.size, place)
        super().__init__(index, archive.name, single_root(index))
        self._archive = archive

    def _open(self, path: str, size: int, place: bytes) -> BinaryIO:
        header, packed, method, crc = _PLACE.unpack(place)
        signature, name, extra = _LOCAL.unpack(self._archive.exactly(header, _LOCAL.size))
        if signature != b"PK\3\4":
            raise _damaged(self._archive, f"{path[:200]!r} is not where it should be")
        start = header + _LOCAL.size + name + extra
        part = Part(self._archive, start, packed)
        content = part if method == STORED else Inflated(part, size, path)
        return buffered(Summed(content, crc, size, path))


def is_zip(archive: Stored) -> bool:
    """Whether the file begins as a zip archive does, an empty one too."""
    return archive.at(0, 4) in {b"PK\3\4", b"PK\5\6"}


def _members(archive: Stored) -> Iterator[_Member]:
    start, size, shift = _directory(archive)
    with archive.part(start, size) as directory:
        while header := directory.read(_ENTRY.size):
            yield _member(archive, header, directory, shift)


def _directory(archive: Stored) -> tuple[int, int, int]:
    """Start and size of the directory, and how many bytes precede the archive."""
    tail_start = max(archive.size - _END.size - _LONGEST_COMMENT, 0)
    tail = archive.exactly(tail_start, archive.size - tail_start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise _damaged(archive, "its end is missing")
    _, disk, _, _, _, size, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if wide := _directory_64(archive, end):
        disk, size, offset, end = wide
    start = end - size
    if disk or start < offset:
        raise _damaged(archive, "parts of it are missing")
    return start, size, start - offset


def _directory_64(archive: Stored, end: int) -> tuple[int, int, int, int] | None:
    at = end - _LOCATOR.size
    if at < _END_64.size or archive.at(at, 4) != b"PK\6\7":
        return None
    # The record stands right before its locator, whatever precedes the archive.
    at -= _END_64.size
    record = archive.exactly(at, _END_64.size)
    signature, _, _, _, disk, _, _, _, size, offset = _END_64.unpack(record)
    if signature != b"PK\6\6":
        raise _damaged(archive, "its ZIP64 record is missing")
    return disk, size, offset, at


def _member(archive: Stored, header: bytes, directory: BinaryIO, shift: int) -> _Member:
    if len(header) < _ENTRY.size or header[:4] != b"PK\1\2":
        raise _damaged(archive, "its directory is broken")
    _, _, system, _, flags, method, _, _, crc, packed, size, *rest = _ENTRY.unpack(header)
    name_size, extra_size, comment_size, _, _, attributes, start = rest
    variable = directory.read(name_size + extra_size + comment_size)
    if len(variable) < name_size + extra_size + comment_size:
        raise _damaged(archive, "its directory is broken")
    name = variable[:name_size].decode("utf-8" if flags & _UTF8 else "cp437", "replace")
    if system == _WINDOWS:
        name = name.replace("\\", "/")
    extra = variable[name_size : name_size + extra_size]
    size, packed, start = _widened(archive, [size, packed, start], extra)
    _check(archive, name, flags, method)
    if method == STORED and size != packed:
        raise _damaged(archive, f"the sizes of {name[:200]!r} contradict each other")
    mode = attributes >> 16 if system == _UNIX else 0
    return _Member(name, start + shift, packed, size, method, crc, mode)


def _widened(archive: Stored, values: list[int], extra: bytes) -> list[int]:
    """Sizes and start, from the ZIP64 extra field where 32 bits do not hold them."""
    if _IN_EXTRA not in values:
        return values
    wide = iter(_extra_64(archive, extra))
    try:
        return [next(wide) if value == _IN_EXTRA else value for value in values]
    except StopIteration:
        raise _damaged(archive, "its directory is broken") from None


def _extra_64(archive: Stored, extra: bytes) -> tuple[int, ...]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            count = min(size, len(extra) - at - 4) // 8
            return struct.unpack_from(f"<{count}Q", extra, at + 4)
        at += 4 + size
    raise _damaged(archive, "its directory is broken")


def _check(archive: Stored, name: str, flags: int, method: int) -> None:
    if flags & _ENCRYPTED:
        raise InvalidInput(
            f"{archive.name} is encrypted ({name[:200]!r}): pack it without a password", field=FIELD
        )
    if method not in {STORED, DEFLATED}:
        raise InvalidInput(
            f"{archive.name} packs {name[:200]!r} by method {method}: pack it with `deflate`, or "
            "without compression",
            field=FIELD,
        )


def _damaged(archive: Stored, why: str) -> InvalidInput:
    return InvalidInput(f"{archive.name} is a damaged zip archive: {why}", field=FIELD)
