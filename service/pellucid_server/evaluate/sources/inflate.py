"""Members of zip archives, unpacked while they are read."""

import io
import os
import zlib

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD
from pellucid_server.evaluate.sources.stored import BUFFER, Part, target


class Inflated(io.RawIOBase):
    """What a deflated part unpacks to, `size` bytes; going back starts over.

    Raises:
        InvalidInput: while reading, where it is broken or gives another number of bytes.
    """

    def __init__(self, packed: Part, size: int, path: str) -> None:
        super().__init__()
        self._packed, self._size, self._path = packed, size, path
        self._at = 0
        self._start_over()

    def _start_over(self) -> None:
        self._packed.seek(0)
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        self._given = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = target(offset, whence, self._at, self._size)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any Buffer
        if self._at < self._given:
            self._start_over()
        while self._given < self._at and self._next(min(self._at - self._given, BUFFER)):
            pass
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _next(self, most: int) -> bytes:
        data = b""
        while not data and not self._unpacker.eof and most:
            packed = self._unpacker.unconsumed_tail or self._packed.read(BUFFER) or b""
            data = self._unpack(packed, most)
            if not packed and not data:
                raise damaged(self._path, "it ends too early")
        self._given += len(data)
        if self._given > self._size or (self._unpacker.eof and self._given < self._size):
            raise damaged(self._path, f"it does not unpack to {self._size} bytes, as it says")
        return data

    def _unpack(self, packed: bytes, most: int) -> bytes:
        try:
            return self._unpacker.decompress(packed, most)
        except zlib.error as error:
            raise damaged(self._path, str(error)) from error


class Summed(io.RawIOBase):
    """A reader whose check sum is compared where it is read from start to end."""

    def __init__(self, content: io.RawIOBase, crc: int, size: int, path: str) -> None:
        super().__init__()
        self._content, self._crc, self._size, self._path = content, crc, size, path
        self._sum = self._summed = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any Buffer
        at = self._content.tell()
        count = self._content.readinto(buffer)
        if at == self._summed:
            self._sum = zlib.crc32(memoryview(buffer)[:count], self._sum)
            self._summed += count
            if count and self._summed == self._size and self._sum != self._crc:
                raise damaged(self._path, "its check sum is wrong")
        return count


def damaged(path: str, why: str) -> InvalidInput:
    """The error for a member that cannot be unpacked."""
    return InvalidInput(f"{path[:200]!r} is damaged: {why}", field=FIELD)
