"""Plain tar archives, read in place through an index.

Source: POSIX.1-2017 `pax`, Interchange Format; GNU tar 1.35, Basic Tar Format. The blocks are
read by `tarfile`, the rest is not: it keeps an object for each member, and believes their sizes.
"""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD
from pellucid_server.evaluate.sources.index import Index
from pellucid_server.evaluate.sources.indexed import Indexed, single_root
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.stored import Stored

BLOCK = tarfile.BLOCKSIZE
_LONGEST_HEADER = 2**20
_REGULAR = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}
_NEXT_PAX, _ALL_PAX = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}, {tarfile.XGLTYPE}
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_WITHOUT_CONTENT = {
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
}
Headers = Mapping[str, str]


class TarFiles(Indexed):
    """The files of a tar archive. Hard links are files too; symbolic links are left out."""

    def __init__(self, archive: Stored, limits: Limits, check: Callable[[], None]) -> None:
        """Raises InvalidInput where it is damaged, has sparse files, or is over a limit."""
        index = Index(limits)
        for start, member in _members(archive):
            check()
            if member.type in _REGULAR:
                index.add(member.name, member.size, start.to_bytes(8, "big"))
            elif member.type == tarfile.LNKTYPE and (file := index.find(member.linkname)):
                index.add(member.name, *file)
        super().__init__(index, archive.name, single_root(index))
        self._archive = archive

    def _open(self, path: str, size: int, place: bytes) -> BinaryIO:  # noqa: ARG002 # of the base
        return self._archive.part(int.from_bytes(place, "big"), size)


def is_tar(archive: Stored) -> bool:
    """Whether it begins with a tar header, of whatever age, or with the end: it is empty then."""
    if archive.size % BLOCK == 0 and archive.at(0, 2 * BLOCK) == bytes(2 * BLOCK):
        return True
    try:
        tarfile.TarInfo.frombuf(archive.at(0, BLOCK), "utf-8", "replace")
    except tarfile.TarError:
        return False
    return True


def _members(archive: Stored) -> Iterator[tuple[int, tarfile.TarInfo]]:
    """Each member with the start of its content."""
    at = 0
    of_all: Headers = {}
    of_next: Headers = {}
    while member := _header(archive, at):
        at += BLOCK
        if member.type in _ALL_PAX:
            of_all = {**of_all, **_pax(archive, at, member)}
        elif member.type in _NEXT_PAX:
            of_next = {**of_next, **_pax(archive, at, member)}
        elif member.type in _LONG:
            of_next = {**of_next, _LONG[member.type]: _text(_content(archive, at, member))}
        else:
            _apply(archive, member, {**of_all, **of_next})
            of_next = {}
            _padded(archive, at, member)
            yield at, member
        at += _padded(archive, at, member)


def _header(archive: Stored, at: int) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(archive.at(at, BLOCK), "utf-8", "replace")
    # The end is a block of zeros; some writers leave it out.
    except (tarfile.EOFHeaderError, tarfile.EmptyHeaderError):  # type: ignore[attr-defined] # not in the stubs
        return None
    except tarfile.TarError as error:
        raise _damaged(archive, f"no header at byte {at}: {error}") from error


def _padded(archive: Stored, at: int, member: tarfile.TarInfo) -> int:
    """Bytes that the content takes."""
    if member.type in _WITHOUT_CONTENT:
        return 0
    if not 0 <= member.size <= archive.size - at:
        raise _damaged(archive, f"{member.name[:200]!r} ends too early")
    return -(-member.size // BLOCK) * BLOCK


def _content(archive: Stored, at: int, member: tarfile.TarInfo) -> bytes:
    if not 0 <= member.size <= _LONGEST_HEADER:
        raise _damaged(archive, f"a header of {member.size} bytes")
    return archive.exactly(at, member.size)


def _pax(archive: Stored, at: int, member: tarfile.TarInfo) -> Headers:
    """The records `length keyword=value` that matter."""
    content = _content(archive, at, member)
    found, start = {}, 0
    while content[start : start + 1] not in {b"", b"\0"}:
        space = content.find(b" ", start, start + 20)
        try:
            end = start + int(content[start:space])
        except ValueError:
            raise _damaged(archive, "a broken extended header") from None
        keyword, equals, value = content[space + 1 : end - 1].partition(b"=")
        if space < start or end <= space or not equals:
            raise _damaged(archive, "a broken extended header")
        if keyword in {b"path", b"linkpath", b"size"} or keyword.startswith(b"GNU.sparse"):
            found[_text(keyword)] = _text(value)
        start = end
    return found


def _apply(archive: Stored, member: tarfile.TarInfo, headers: Headers) -> None:
    member.name = headers.get("path", member.name)
    member.linkname = headers.get("linkpath", member.linkname)
    try:
        member.size = int(headers.get("size", member.size))
    except ValueError:
        raise _damaged(archive, "a broken extended header") from None
    if member.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU") for key in headers):
        raise InvalidInput(
            f"{archive.name} has a sparse file, {member.name[:200]!r}: pack it without `--sparse`",
            field=FIELD,
        )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _damaged(archive: Stored, why: str) -> InvalidInput:
    return InvalidInput(f"{archive.name} is a damaged tar archive: {why}", field=FIELD)
