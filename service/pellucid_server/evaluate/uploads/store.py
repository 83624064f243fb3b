import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.evaluate.files import FIELD, Files, storage_failure
from pellucid_server.evaluate.sources.archive import archive_files
from pellucid_server.evaluate.sources.index import Index
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.opened import Opened
from pellucid_server.evaluate.sources.stored import Stored
from pellucid_server.evaluate.uploads.layout import Layout, write_through
from pellucid_server.evaluate.uploads.ledger import Ledger
from pellucid_server.evaluate.uploads.manifest import Entry, entries, indexed, line
from pellucid_server.evaluate.uploads.receiver import Receiver
from pellucid_server.evaluate.uploads.sweep import sweep
from pellucid_server.evaluate.uploads.uploaded_files import InUse, UploadedFiles

_NAME = re.compile(r"uploads/([0-9a-f]{64})")
_REFRESH = 60.0
"""Seconds between notes that a data set is in use."""


@dataclass(frozen=True)
class Uploaded:
    """A data set that was sent."""

    name: str
    files: int
    bytes: int
    expires: float
    """Seconds since 1970 when it is removed, unless it is used before."""


class Uploads:
    """A store of uploads. All it knows is on disk: servers may share it, and die at any time."""

    def __init__(self, root: Path, *, quota: int, expiry: float, limits: Limits) -> None:
        """`quota` in bytes, `expiry` in seconds without use."""
        self._layout = Layout(root)
        self._ledger = Ledger(self._layout, quota)
        self._receiver = Receiver(self._layout, self._ledger)
        self._expiry = expiry
        self._limits = limits

    def received(self, sha256: bytes, size: int) -> int:
        """Bytes of a file that are there; a whole file stays for `expiry` from now on.

        Of a file that is there but was not made whole, its last byte is asked for again.
        """
        digest = _digest(sha256, size)
        with _storage(), self._layout.locked(alone=False):
            if self._refreshed(digest) == size:
                return size
            try:
                there = self._layout.partial(digest, size).stat().st_size
            except FileNotFoundError:
                return 0
            return min(there, size - 1) if size else 0

    def write(self, sha256: bytes, size: int, offset: int, chunks: Iterable[bytes]) -> int:
        """Takes a file's bytes from `offset` on; returns how many are there.

        What breaks off can go on later. All chunks are taken even where the file is there.

        Raises:
            InvalidInput: the digest is wrong (the file is dropped), there are more bytes than
                `size`, or the offset is beyond what is there.
            Overloaded: the quota or the disk is full, or another caller sends the same file.
        """
        digest = _digest(sha256, size)
        if not 0 <= offset <= size:
            raise InvalidInput(f"must be from 0 to {size}, the file's size", field="file.offset")
        with _storage():
            return self._receiver.receive(digest, size, offset, chunks)

    def commit(self, files: Iterable[tuple[str, bytes, int]]) -> Uploaded:
        """Makes files (path, SHA-256, size) a data set; equal files get an equal name.

        Hidden files are left out.

        Raises:
            InvalidInput, OutsideRoot: a path is not allowed, a file has not arrived, there is
                none, or there are too many.
            Overloaded: the disk is full.
        """
        try:
            index = indexed((Entry(p, _digest(d, s), s) for p, d, s in files), self._limits)
        except (InvalidInput, OutsideRoot) as error:
            field = "file.path" if error.field == FIELD else error.field
            raise type(error)(error.message, field=field) from error
        if not index.count:
            raise InvalidInput("a data set has at least one file", field="file")
        with _storage(), self._layout.locked(alone=False):
            name = f"uploads/{self._written(index)}"
        return Uploaded(name, index.count, index.total, time.time() + self._expiry)

    def open(
        self, name: str, opened: Opened | None = None, check: Callable[[], None] = lambda: None
    ) -> Files:
        """The files of a data set, or of the one archive that it is; its expiry starts anew.

        Raises:
            NotFound: it is not there, or no more.
            InvalidInput: its archive is damaged or over a limit.
        """
        self.refresh(name)
        files = (opened or Opened()).get(name, lambda: self._opened(name, check))
        return InUse(files, self._refresher(name))

    def refresh(self, name: str) -> None:
        """Lets the expiry of a data set start anew; raises NotFound where it is not there."""
        manifest = self._manifest(name)
        with _storage(), self._layout.locked(alone=False):
            try:
                os.utime(manifest)
            except FileNotFoundError:
                raise _unknown(name) from None

    def used(self) -> int:
        """Bytes taken, of the quota; raises OSError or ValueError where that is not known yet."""
        return self._ledger.used()

    def sweep(self) -> None:
        """Removes data sets that were not used for `expiry`, and files that none has any more."""
        with _storage():
            sweep(self._layout, self._ledger, time.time() - self._expiry)

    def _opened(self, name: str, check: Callable[[], None]) -> Files:
        with _storage():
            index = indexed(entries(self._manifest(name)), self._limits)
        files = UploadedFiles(self._layout, index, name)
        if index.count > 1:
            return files
        with files.open(next(files.walk())) as only:
            stored = Stored(os.dup(only.fileno()), name)
        return archive_files(stored, self._limits, check) or files

    def _refresher(self, name: str) -> Callable[[], None]:
        last = time.monotonic()

        def use() -> None:
            nonlocal last
            if time.monotonic() - last > min(_REFRESH, self._expiry / 4):
                last = time.monotonic()
                with suppress(NotFound):
                    self.refresh(name)

        return use

    def _manifest(self, name: str) -> Path:
        match = _NAME.fullmatch(name)
        if match is None:
            raise _unknown(name)
        return self._layout.sets / match[1]

    def _refreshed(self, digest: str) -> int | None:
        """The size of a whole file, which is kept from now on; None: it is not there."""
        blob = self._layout.blob(digest)
        try:
            os.utime(blob)
            return blob.stat().st_size
        except FileNotFoundError:
            return None

    def _written(self, index: Index) -> str:
        """Writes the list of files, once all of them are on disk; returns its digest."""
        draft = self._layout.sets / f".{uuid.uuid4().hex}"
        try:
            digest = self._write(index, draft)
            for folder in self._layout.blobs.iterdir():
                write_through(folder)
            draft.rename(self._layout.sets / digest)
            write_through(self._layout.sets)
        finally:
            draft.unlink(missing_ok=True)
        return digest

    def _write(self, index: Index, draft: Path) -> str:
        content = hashlib.sha256()
        with draft.open("wb") as file:
            for path in UploadedFiles(self._layout, index, "").walk():
                text = line(self._arrived(path, index))
                content.update(text)
                file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return content.hexdigest()

    def _arrived(self, path: str, index: Index) -> Entry:
        size, place = index.find(path) or (0, b"")
        if self._refreshed(place.hex()) != size:
            raise InvalidInput(
                f"{path[:200]!r} has not arrived whole: send the rest of it", field="file"
            )
        return Entry(path, place.hex(), size)


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_failure(error) from error


def _digest(sha256: bytes, size: int) -> str:
    if len(sha256) != hashlib.sha256().digest_size:
        raise InvalidInput("must be the 32 bytes of a SHA-256 digest", field="file.sha256")
    if size < 0:
        raise InvalidInput("must not be negative", field="file.size")
    return sha256.hex()


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no {name[:100]!r}, or it has expired: upload it again", field=FIELD)
