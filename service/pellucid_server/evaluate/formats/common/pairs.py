"""Folders whose files belong together by their names."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw
from pellucid_server.evaluate.files import Files, joined
from pellucid_server.evaluate.formats.common.listing import (
    choose_split,
    folder_like,
    has_images,
    images,
)
from pellucid_server.evaluate.formats.common.places import UNUSABLE
from pellucid_server.nearest import nearest

SUFFIX = re.compile(
    r"(?:[_-]?x[2348]|[_-](?:masks?|holes?|labels?|seg|gt|[hl]r|high|low|input|target))$",
    re.IGNORECASE,
)
"""What a name may have in one folder and lack, or have otherwise, in the other."""


class Pair(NamedTuple):
    """An image and the file that belongs to it."""

    first: str
    second: str


class Folders(NamedTuple):
    """Two folders whose files belong together."""

    first: str
    second: str


def find_folders(
    files: Files, first: Sequence[str], second: Sequence[str], split: str = ""
) -> Folders | None:
    """The folders of these names, at the root or in a split; their own split, if they have one.

    Raises:
        InvalidInput: there is no split of that name.
    """
    found = _beside(files, "", first, second)
    if found is None:
        part = choose_split(files.folders(), split)
        return None if part is None else _beside(files, part, first, second)
    if has_images(files, found.first) and not split:
        return found
    shared = sorted({*files.folders(found.first)} & {*files.folders(found.second)})
    part = choose_split(shared, split)
    return Folders(joined(found.first, part), joined(found.second, part)) if part else found


def _beside(
    files: Files, under: str, first: Sequence[str], second: Sequence[str]
) -> Folders | None:
    one, two = folder_like(files, under, first), folder_like(files, under, second)
    return Folders(one, two) if one is not None and two is not None and one != two else None


def named_folder(files: Files, wanted: str, parameter: str) -> tuple[str, ...]:
    """The name of a folder that a parameter names, if it does.

    Raises:
        InvalidInput: there is no such folder at the root.
    """
    if wanted and wanted not in files.folders():
        known = nearest(wanted, files.folders())
        raise InvalidInput(
            f"there is no folder {wanted!r}.{known}", field=f"parameters[{parameter}]"
        )
    return (wanted,) if wanted else ()


def pairs(files: Files, folders: Folders) -> Iterator[Pair | Flaw]:
    """Every image of the first folder with its partner, the file of its name in the second.

    The name may lack or have a suffix: `0001x4.png` and `0001.png`. An equal name goes first.
    """
    partners = _Partners(files, folders.second)
    for path in images(files, folders.first):
        try:
            second = partners.find(path[len(folders.first) + 1 :].rpartition(".")[0])
        except UNUSABLE as error:
            yield Flaw(path, folders.second, error.message)
            continue
        if second:
            yield Pair(path, second)
        else:
            yield Flaw(path, folders.second, f"it has no partner of its name in {folders.second}")


class _Partners:
    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self._folder = folder
        self._endings = sorted({_ending(path) for path in images(files, folder)})

    def find(self, stem: str) -> str:
        """The path of the partner, or empty."""
        for each in dict.fromkeys((stem, SUFFIX.sub("", stem))):
            for ending in self._endings:
                path = f"{self._folder}/{each}{ending}"
                if self._files.has(path):
                    return path
        return ""


def _ending(path: str) -> str:
    """The suffix and extension of a name."""
    stem, dot, extension = path.rpartition(".")
    found = SUFFIX.search(stem)
    return (found[0] if found else "") + dot + extension
