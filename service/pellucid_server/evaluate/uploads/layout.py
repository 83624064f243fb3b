import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Layout:
    """Where an upload store keeps what, on a volume that servers may share.

    `blobs/ab/abcd...`: whole files by their SHA-256, never changed.
    `partial/abcd....SIZE`: files on their way; the name has the size that they are to have.
    `sets/...`: lists of files by their SHA-256; their time is when they were last used.
    `usage`: bytes in blobs and partial files, the latter by the size that they are to have.
    `lock`: held alone by who changes `usage`, makes files whole or removes them, together by
    who relies on them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs, self.partials, self.sets = (
            root / name for name in ("blobs", "partial", "sets")
        )
        self.usage = root / "usage"
        for folder in (self.blobs, self.partials, self.sets):
            folder.mkdir(parents=True, exist_ok=True)

    def blob(self, digest: str) -> Path:
        """A whole file."""
        return self.blobs / digest[:2] / digest

    def partial(self, digest: str, size: int) -> Path:
        """A file on its way."""
        return self.partials / f"{digest}.{size}"

    @contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """Waits for the store's lock; a process that dies lets it go."""
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)


def declared_size(partial: Path) -> int:
    """The size that a partial file is to have."""
    return int(partial.name.split(".")[1])


def write_through(folder: Path) -> None:
    """Makes names in a folder last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
