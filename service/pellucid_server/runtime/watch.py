"""Sees what changes in the repository, by looking.

Polling rather than inotify: network file systems send no events for what other
machines write, and a mounted ConfigMap changes by swapping a link above the files.
A look costs one `stat` a file; nothing is read.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from pellucid_server.runtime.spec_file import FILE
from pellucid_server.spec import NAME_PATTERN

log = structlog.get_logger()

MAX_DEPTH = 6
"""Folders in folders; also the end of links that lead in circles."""
VERSION = re.compile(r"[1-9][0-9]{0,17}")

Files = frozenset[tuple[str, int, int]]
"""Relative path, size and time of change in nanoseconds of each file."""
UNREADABLE: Files = frozenset({("", -1, 0)})
Part = int | None
"""A version of a model, or None: what describes it."""
Key = tuple[str, Part]


@dataclass(frozen=True)
class Look:
    """The repository at one moment; `moving` is what differs from the look before."""

    files: Mapping[Key, Files]
    moving: frozenset[Key] = frozenset()

    @property
    def names(self) -> set[str]:
        """The models that are there, or were a look ago."""
        return {name for name, _ in (*self.files, *self.moving)}

    def settled(self, name: str, part: Part) -> bool:
        """Whether nothing was written between two looks: what is copied is complete."""
        return (name, part) not in self.moving

    def versions(self, name: str) -> dict[int, Files]:
        """The version folders of a model."""
        return {
            part: files
            for (owner, part), files in self.files.items()
            if owner == name and part is not None
        }


class Watch:
    """Looks at a folder of models, and compares."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last: Mapping[Key, Files] | None = None
        self._ignored: set[str] = set()

    def look(self) -> Look:
        """What is there now; the first look takes everything for settled.

        Raises:
            OSError: the folder itself cannot be read.
        """
        now = self.peek().files
        last = now if self._last is None else self._last
        self._last = now
        moving = {key for key in {*now, *last} if now.get(key) != last.get(key)}
        return Look(now, frozenset(moving))

    def peek(self) -> Look:
        """What is there now, all of it taken for settled; later looks do not count it."""
        return Look(dict(self._parts()))

    def _parts(self) -> Iterator[tuple[Key, Files]]:
        for entry in _entries(self._root):
            if entry.name.startswith(".") or not _is_folder(entry):
                continue
            parts = self._model(entry)
            if parts and re.fullmatch(NAME_PATTERN, entry.name):
                yield from parts.items()
            elif entry.name not in self._ignored:
                self._ignored.add(entry.name)
                log.warning("not a model", folder=entry.name, names=NAME_PATTERN)

    def _model(self, folder: os.DirEntry[str]) -> Mapping[Key, Files]:
        try:
            entries = _entries(Path(folder.path))
        except FileNotFoundError:
            return {}
        except OSError:
            # What cannot be seen for a while is not gone.
            return {key: each for key, each in (self._last or {}).items() if key[0] == folder.name}
        versions = [each for each in entries if VERSION.fullmatch(each.name) and _is_folder(each)]
        rest = [each for each in entries if each not in versions]
        parts: dict[Key, Files] = {
            (folder.name, int(each.name)): fingerprint(Path(each.path)) for each in versions
        }
        if parts or any(each.name == FILE for each in rest):
            parts[folder.name, None] = frozenset(_walk(rest, "", MAX_DEPTH))
        return parts


def fingerprint(folder: Path) -> Files:
    """What changes when a file in the folder does."""
    try:
        return frozenset(_walk(_entries(folder), "", MAX_DEPTH))
    except OSError:
        return UNREADABLE


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(
    entries: list[os.DirEntry[str]], prefix: str, depth: int
) -> Iterator[tuple[str, int, int]]:
    for entry in entries:
        path = prefix + entry.name
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir():
                if depth:
                    yield from _walk(_entries(Path(entry.path)), f"{path}/", depth - 1)
            else:
                status = entry.stat()
                yield path, status.st_size, status.st_mtime_ns
        except OSError:
            yield path, -1, 0
