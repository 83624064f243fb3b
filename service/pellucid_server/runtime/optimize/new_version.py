"""A version folder in the making: hidden until it is complete, then there at once."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.watch import VERSION

PREFIX = ".optimize-"
"""The repository overlooks folders of such names."""


@dataclass(frozen=True)
class NewVersion:
    """`scratch` is thrown away, `content` becomes the version."""

    model_folder: Path
    scratch: Path
    content: Path

    def publish(self) -> int:
        """Gives the content the next free number.

        Raises:
            ModelUnavailable: the folder cannot be written.
        """
        with _refusals():
            _flush(self.content)
            number = _next(self.model_folder)
            while not _moved(self.content, self.model_folder / str(number)):
                number += 1
            _sync(self.model_folder)
            return number


@contextmanager
def new_version(model_folder: Path, needed_bytes: int) -> Iterator[NewVersion]:
    """A place to make a version in; what is not published is removed.

    Removes what a server that was killed has left, too.

    Raises:
        ModelUnavailable: the repository is read-only or full.
    """
    with _refusals():
        _sweep(model_folder)
        _require_room(model_folder, needed_bytes)
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=model_folder))
    try:
        with _refusals():
            lock = _locked(made)
            version = NewVersion(model_folder, made / "scratch", made / "1")
            version.scratch.mkdir()
            version.content.mkdir()
        with lock:
            yield version
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(error.strerror or str(error)) from error


def unwritable(reason: str) -> ModelUnavailable:
    """What to say where the repository takes no new version."""
    return ModelUnavailable(
        f"the model repository cannot take a new version: {reason}; give the server a "
        "repository that it may write, with room in it",
        field="model_name",
    )


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise unwritable(f"{free // 2**20} MiB are free, up to {needed // 2**20 + 1} are needed")


def _locked(folder: Path) -> IO[str]:
    """A lock that the system releases when the process ends, however it does."""
    path = folder / "lock.new"
    file = path.open("w")
    with suppress(OSError):  # some network file systems have no locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    path.rename(folder / "lock")
    return file


def _sweep(model_folder: Path) -> None:
    for folder in model_folder.glob(f"{PREFIX}*"):
        try:
            with (folder / "lock").open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # it is at work, or began this moment
            continue


def _next(model_folder: Path) -> int:
    names = (path.name for path in model_folder.iterdir())
    return 1 + max((int(name) for name in names if VERSION.fullmatch(name)), default=0)


def _moved(source: Path, target: Path) -> bool:
    """Renames; an empty folder of that name would be replaced, and is somebody's."""
    if target.exists():
        return False
    try:
        source.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
