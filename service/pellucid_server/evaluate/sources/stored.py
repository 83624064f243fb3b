"""Files on the server's disk, and parts of them, for several readers at once."""

import io
import os
import weakref
from typing import BinaryIO, cast

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD

BUFFER = 2**16


class Stored:
    """An open file that readers share: none moves another's position. Closed when let go."""

    def __init__(self, handle: int, name: str) -> None:
        self.name = name
        state = os.fstat(handle)
        self.size = state.st_size
        self.identity = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        self._handle = handle
        weakref.finalize(self, os.close, handle)

    def at(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`."""
        return os.pread(self._handle, size, start)

    def into(self, buffer: memoryview, start: int) -> int:
        """Fills a buffer from `start`, as far as the file goes; returns how many bytes."""
        return os.preadv(self._handle, [buffer], start)

    def exactly(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`; raises InvalidInput where the file ends before."""
        data = self.at(start, size)
        if len(data) < size:
            raise InvalidInput(f"{self.name} is damaged: it ends too early", field=FIELD)
        return data

    def part(self, start: int = 0, size: int | None = None) -> BinaryIO:
        """A reader of a part of it, or of all."""
        return buffered(Part(self, start, self.size - start if size is None else size))


class Part(io.RawIOBase):
    """Bytes `start` to `start + size` of a stored file, as a file of its own."""

    def __init__(self, stored: Stored, start: int, size: int) -> None:
        super().__init__()
        self._stored, self._start, self._size, self._at = stored, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any Buffer
        wanted = min(len(buffer), max(self._size - self._at, 0))
        count = self._stored.into(memoryview(buffer)[:wanted], self._start + self._at)
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = target(offset, whence, self._at, self._size)
        return self._at


def target(offset: int, whence: int, at: int, size: int) -> int:
    """The position that `seek` asks for."""
    return max({os.SEEK_SET: 0, os.SEEK_CUR: at, os.SEEK_END: size}[whence] + offset, 0)


def buffered(raw: io.RawIOBase) -> BinaryIO:
    """A raw reader as what `open` returns."""
    return cast("BinaryIO", io.BufferedReader(raw, BUFFER))
