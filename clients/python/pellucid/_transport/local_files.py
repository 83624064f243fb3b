"""Data sets on this machine: their files, with what tells them apart."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid._wire.evaluations import Place
from pellucid.errors import InvalidArgumentError
from pellucid.uploads import UploadProgress
from pellucid.v1 import evaluation_pb2 as pb

CHUNK = 2**20
OnProgress = Callable[[UploadProgress], object]


@dataclass(frozen=True)
class LocalFile:
    """A file, and its path within the data set."""

    path: Path
    name: str
    size: int
    sha256: bytes

    def message(self, offset: int = 0) -> pb.UploadFile:
        """It as the contract has it."""
        return pb.UploadFile(path=self.name, size=self.size, sha256=self.sha256, offset=offset)

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Its bytes from an offset on.

        Raises:
            InvalidArgumentError: it is shorter than it was.
        """
        if offset == self.size:
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            while offset < self.size:
                chunk = file.read(min(CHUNK, self.size - offset))
                if not chunk:
                    raise InvalidArgumentError(f"{self.path} was changed while it was sent")
                offset += len(chunk)
                yield chunk


def is_local(dataset: Place, upload: bool | None) -> bool:  # noqa: FBT001 - a setting, passed on
    """Whether to send a data set: said so, or a `pathlib.Path`."""
    return isinstance(dataset, os.PathLike) if upload is None else upload


def read(dataset: Place, progress: OnProgress | None = None) -> list[LocalFile]:
    """The files of a folder, without hidden ones, or the one file that an archive is.

    Raises:
        OSError: something cannot be read.
        InvalidArgumentError: the folder is empty, or a name cannot be sent.
    """
    root = Path(dataset)
    named = list(_walk(root)) if root.is_dir() else [(root, root.name)]
    if not named:
        raise InvalidArgumentError(f"no files in {root}", field="dataset")
    total = sum(path.stat().st_size for path, _ in named)
    found, done = [], 0
    for path, name in named:
        found.append(_hashed(path, name))
        done += found[-1].size
        if progress:
            progress(UploadProgress("reading", done, total, len(named)))
    return found


def _walk(
    folder: Path, prefix: str = "", above: frozenset[Path] = frozenset()
) -> Iterator[tuple[Path, str]]:
    """Files in the order of their names; a link that leads to a folder above it is not taken."""
    real = folder.resolve()
    if real in above:
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, f"{prefix}{path.name}/", above | {real})
        elif path.is_file():
            yield path, prefix + path.name


def _hashed(path: Path, name: str) -> LocalFile:
    try:
        name.encode()
    except UnicodeEncodeError:
        message = f"the name {os.fsencode(name)!r} is not UTF-8: rename the file"
        raise InvalidArgumentError(message, field="dataset") from None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return LocalFile(path, name, file.tell(), digest)
