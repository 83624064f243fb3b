from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pellucid_server.evaluate.files import Files, checked_path


class Single(Files):
    """One file that is the data set, such as a table; what it names lies beside it."""

    def __init__(self, beside: Files, path: str) -> None:
        self.name = beside.name
        self._beside = beside
        self._path = path

    def folders(self, under: str = "") -> Sequence[str]:
        checked_path(under)
        return ()

    def files(self, under: str = "") -> Iterator[str]:
        if not checked_path(under):
            yield self._path

    def has(self, path: str) -> bool:
        return self._beside.has(path)

    def open(self, path: str) -> BinaryIO:
        return self._beside.open(path)

    def size(self, path: str) -> int:
        return self._beside.size(path)
