import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pellucid_server.errors import InvalidInput, OutsideRoot
from pellucid_server.evaluate.files import (
    FIELD,
    Files,
    absent,
    checked_path,
    failure,
    is_hidden,
    joined,
)


class Folder(Files):
    """A folder on disk; links are followed where they stay within the allowed folders.

    A link to a folder that it lies in itself is not listed: such a walk would not end.
    """

    def __init__(self, root: Path, within: Sequence[Path], name: str) -> None:
        self.name = name
        self._root = str(root.resolve())
        self._within = tuple(str(folder.resolve()) for folder in within)

    def folders(self, under: str = "") -> Sequence[str]:
        with self._scan(under) as entries:
            return sorted(
                entry.name
                for entry in entries
                if _is_folder(entry)
                and not is_hidden(entry.name)
                and not (entry.is_symlink() and self._is_circle(under, entry.name))
            )

    def files(self, under: str = "") -> Iterator[str]:
        folder = checked_path(under)
        with self._scan(folder) as entries:
            names = sorted(e.name for e in entries if _is_file(e) and not is_hidden(e.name))
        for name in names:
            yield joined(folder, name)

    def has(self, path: str) -> bool:
        return self._place(path).is_file()

    def open(self, path: str) -> BinaryIO:
        try:
            # A handle of the place alone: nothing is opened before it is known to be allowed,
            # and what is opened then is what was looked at, whatever the path leads to by now.
            place = os.open(f"{self._root}/{checked_path(path)}", os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise failure(error, path, self.name) from error
        try:
            return self._opened(place, path)
        except OSError as error:
            raise failure(error, path, self.name) from error
        finally:
            os.close(place)

    def _opened(self, place: int, path: str) -> BinaryIO:
        within = f"/proc/self/fd/{place}"
        self._check_within(os.readlink(within), path)  # noqa: PTH115 - as text, see `_place`
        mode = os.fstat(place).st_mode
        if stat.S_ISDIR(mode):
            raise absent(path, self.name)
        if not stat.S_ISREG(mode):
            raise InvalidInput(f"{path[:200]!r} is no regular file", field=FIELD)
        return os.fdopen(os.open(within, os.O_RDONLY | os.O_CLOEXEC), "rb")

    def size(self, path: str) -> int:
        place = self._place(path)
        try:
            state = place.stat()
        except OSError as error:
            raise failure(error, path, self.name) from error
        if stat.S_ISDIR(state.st_mode):
            raise absent(path, self.name)
        return state.st_size

    def _place(self, path: str) -> Path:
        # As texts: this is done for every image, and objects of paths take ten times as long.
        try:
            resolved = os.path.realpath(f"{self._root}/{checked_path(path)}")
        except OSError as error:  # a link when it was looked at, and none when it was read
            raise _moved(path) from error
        self._check_within(resolved, path)
        return Path(resolved)

    def _check_within(self, resolved: str, path: str) -> None:
        if not any(_is_within(resolved, folder) for folder in self._within):
            raise OutsideRoot(
                f"the link {path[:200]!r} leads out of the folders that this server may read",
                field=FIELD,
            )

    @contextmanager
    def _scan(self, under: str) -> Iterator[Iterator["os.DirEntry[str]"]]:
        place = self._place(under)
        if not place.is_dir():
            yield iter(())
            return
        try:
            with os.scandir(place) as entries:
                yield entries
        except OSError as error:
            raise failure(error, under, self.name) from error

    def _is_circle(self, under: str, name: str) -> bool:
        target = self._place(joined(under, name))
        parts = checked_path(under).split("/")
        above = ("/".join(parts[:depth]) for depth in range(len(parts) + 1))
        return any(self._place(folder).is_relative_to(target) for folder in above)


def _moved(path: str) -> OutsideRoot:
    return OutsideRoot(f"{path[:200]!r} was moved while it was read", field=FIELD)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    # A link that leads out or nowhere counts: opening it then tells what is wrong.
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and not _is_folder(entry))
