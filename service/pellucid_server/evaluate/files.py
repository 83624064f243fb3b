"""How a data set's files are reached, wherever they lie: folder, archive, upload or remote."""

import errno
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot, Overloaded, PellucidError

LONGEST = 4096
DEEPEST = 128
FIELD = "dataset"
"""The request's field that errors about files name."""


class Files(Protocol):
    """The files of a data set, read only; safe to use from several threads at once.

    Paths are relative to the data set's root, with forward slashes; `""` is the root. What a
    path may be is told by `checked_path`, whose errors every method raises. A folder that is
    not there is empty. Hidden files (`is_hidden`) are not listed.
    """

    name: str
    """The data set, for messages."""

    def folders(self, under: str = "") -> Sequence[str]:
        """Names of the folders directly in `under`, sorted."""

    def files(self, under: str = "") -> Iterator[str]:
        """Paths of the files directly in `under`, sorted."""

    def has(self, path: str) -> bool:
        """Whether `path` is a file that can be opened."""

    def open(self, path: str) -> BinaryIO:
        """Opens a file, seekable; the caller closes it.

        Raises:
            NotFound: there is no such file.
            InvalidInput: it cannot be read, or reading it finds it damaged or over a limit.
            Overloaded: the storage fails; the file may be well.
        """

    def size(self, path: str) -> int:
        """Bytes of the file; raises as `open`."""

    def walk(self, under: str = "") -> Iterator[str]:
        """Paths of all files below: a folder's own first, then folder by folder, sorted."""
        yield from self.files(under)
        for folder in self.folders(under):
            yield from self.walk(joined(under, folder))

    def read(self, path: str, limit: int) -> bytes:
        """All of a file; raises as `open`, and InvalidInput where it has more than `limit`."""
        try:
            with self.open(path) as file:
                size = file.seek(0, os.SEEK_END)
                if size > limit:
                    raise too_large(path, size, limit)
                file.seek(0)
                return file.read(size)
        except OSError as error:
            raise failure(error, path, self.name) from error


def checked_path(path: str) -> str:
    """`path` without empty and `.` parts.

    Raises:
        OutsideRoot: it is absolute, or has a part `..`.
        InvalidInput: it has a NUL, a character that UTF-8 does not have, or is too long or deep.
    """
    if len(path) > LONGEST or "\0" in path or not _is_encodable(path):
        raise InvalidInput(f"{path[:200]!r} is not a path", field=FIELD)
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        raise OutsideRoot(
            f"{path[:200]!r} leads out of the data set: paths are relative, without `..`",
            field=FIELD,
        )
    if len(parts) > DEEPEST:
        raise InvalidInput(f"{path[:200]!r} is more than {DEEPEST} folders deep", field=FIELD)
    return "/".join(part for part in parts if part not in {"", "."})


def _is_encodable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def joined(folder: str, name: str) -> str:
    """The path of `name` in `folder`."""
    return f"{folder}/{name}" if folder else name


def is_hidden(name: str) -> bool:
    """Whether lists leave out files and folders of this name; so they do what is not UTF-8."""
    return name.startswith(".") or name == "__MACOSX" or not _is_encodable(name)


def too_large(path: str, size: int, limit: int) -> InvalidInput:
    """The error for a file that `read` is not to read."""
    return InvalidInput(f"{path[:200]!r} has {size} bytes; at most {limit} are read", field=FIELD)


def absent(path: str, name: str) -> NotFound:
    """The error for a file that is not there."""
    return NotFound(f"{name} has no file {path[:200]!r}", field=FIELD)


_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def failure(error: OSError, path: str, name: str) -> PellucidError:
    """What the operating system said of a file: that it is wrong, or that the storage is.

    The latter are Overloaded, so that nobody takes them for a property of the data set.
    """
    if error.errno in _ABSENT or isinstance(error, FileNotFoundError):
        return absent(path, name)
    if error.errno in _FORBIDDEN or isinstance(error, PermissionError):
        return InvalidInput(f"the server may not read {path[:200]!r}", field=FIELD)
    return storage_failure(error)


def is_full(error: OSError) -> bool:
    """Whether a disk, or what one may use of it, is full."""
    return error.errno in _FULL


def storage_failure(error: OSError) -> Overloaded:
    """The error for storage that is full, or does not answer."""
    if is_full(error):
        return Overloaded("the server's disk is full: free some space", retry_after=60)
    return Overloaded(f"the storage does not answer: {error.strerror or error}", retry_after=5)
