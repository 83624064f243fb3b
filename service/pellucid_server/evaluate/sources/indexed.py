import mimetypes
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pellucid_server.evaluate.files import Files, absent, checked_path, joined
from pellucid_server.evaluate.sources.index import Index


class Indexed(Files):
    """Files that an index names, below one of its folders; subclasses open them."""

    def __init__(self, index: Index, name: str, base: str = "") -> None:
        self.name = name
        self._index = index
        self._base = base

    def folders(self, under: str = "") -> Sequence[str]:
        return self._index.folders(self._full(under))

    def files(self, under: str = "") -> Iterator[str]:
        folder = checked_path(under)
        for name in self._index.files(self._full(folder)):
            yield joined(folder, name)

    def has(self, path: str) -> bool:
        return self._index.find(self._full(path)) is not None

    def open(self, path: str) -> BinaryIO:
        size, place = self._find(path)
        return self._open(path, size, place)

    def size(self, path: str) -> int:
        return self._find(path)[0]

    @abstractmethod
    def _open(self, path: str, size: int, place: bytes) -> BinaryIO:
        """Opens the file that the index has at `place`."""

    def _find(self, path: str) -> tuple[int, bytes]:
        found = self._index.find(self._full(path))
        if found is None:
            raise absent(path, self.name)
        return found

    def _full(self, path: str) -> str:
        path = checked_path(path)
        return joined(self._base, path) if path else self._base


def single_root(index: Index) -> str:
    """The folder in which an archive has all that it has, itself perhaps in such a folder.

    A last folder that holds nothing but pictures is not one: its name may be their class.
    """
    base = ""
    while len(folders := index.folders(base)) == 1 and not any(index.files(base)):
        inner = joined(base, folders[0])
        if not index.folders(inner) and all(map(_is_picture, index.files(inner))):
            break
        base = inner
    return base


def _is_picture(name: str) -> bool:
    kind, _ = mimetypes.guess_type(name, strict=False)
    return kind is not None and kind.startswith("image/")
