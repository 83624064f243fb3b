"""A zip or tar, compressed or not: its index, and every file of it."""

import io
import os
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from pellucid_server.errors import PellucidError
from pellucid_server.evaluate.sources.archive import archive_files
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.stored import Stored

PATH = Path(tempfile.mkdtemp(prefix="fuzz-")) / "archive"
LIMITS = Limits(files=1000, file_bytes=2**20, total_bytes=2**22, spool_bytes=2**22)


def take(data: bytes) -> None:
    """Lists it and reads all."""
    PATH.write_bytes(data)
    with PATH.open("rb") as file:
        stored = Stored(os.dup(file.fileno()), "set")
    with suppress(PellucidError):
        files = archive_files(stored, LIMITS, lambda: None)
        if files is None:
            return
        for name in files.walk():
            with suppress(PellucidError):
                files.read(name, 2**20)


def zipped() -> bytes:
    """A file that is deflated, and one that is not."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", b"text" * 50)
        archive.writestr("c.txt", b"c", zipfile.ZIP_STORED)
    return file.getvalue()


def tarred(mode: str) -> bytes:
    """A file in a folder."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]  # literals
        info = tarfile.TarInfo("a/b.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"text"))
    return file.getvalue()


SEEDS = [zipped(), *map(tarred, ("w", "w:gz", "w:bz2", "w:xz"))]
