import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from pellucid_server.errors import InvalidInput

_CHUNK = 2**20


class Partial:
    """A file on its way, which one writer at a time has."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError where it is not there, BlockingIOError where another has it."""
        self.path = path
        self.handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_in_place()
        except BaseException:
            self.close()
            raise

    def _check_in_place(self) -> None:
        # Until the lock was had, its writer may have finished or removed it.
        here, there = os.fstat(self.handle), self.path.stat()
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            raise FileNotFoundError(self.path)

    def close(self) -> None:
        """Lets others have it."""
        os.close(self.handle)

    def size(self) -> int:
        """Bytes there."""
        return os.fstat(self.handle).st_size

    def fill(self, digest: str, size: int, offset: int, chunks: Iterable[bytes]) -> int:
        """Writes from `offset` on; returns the bytes there, which are on disk if they are `size`.

        Raises:
            InvalidInput: there are more, or their digest is another.
        """
        os.ftruncate(self.handle, offset)
        there, content = offset, self._digest(offset)
        for chunk in chunks:
            there += len(chunk)
            if there > size:
                raise InvalidInput(
                    f"more than the {size} bytes came that the file was to have; it was dropped",
                    field="chunk",
                )
            content.update(chunk)
            self._write(chunk, there - len(chunk))
        if there == size:
            if content.hexdigest() != digest:
                raise InvalidInput(
                    "the file's bytes have another SHA-256 than it was announced with; it was "
                    "dropped: send it again from its start",
                    field="file.sha256",
                )
            os.fsync(self.handle)
        return there

    def _digest(self, end: int) -> "hashlib._Hash":
        content = hashlib.sha256()
        for start in range(0, end, _CHUNK):
            content.update(os.pread(self.handle, min(_CHUNK, end - start), start))
        return content

    def _write(self, data: bytes, start: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self.handle, view, start)
            view, start = view[count:], start + count
