from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from pellucid_server.evaluate.files import Files, failure
from pellucid_server.evaluate.sources.index import Index
from pellucid_server.evaluate.sources.indexed import Indexed
from pellucid_server.evaluate.uploads.layout import Layout


class UploadedFiles(Indexed):
    """The files of an upload, each a blob of its store."""

    def __init__(self, layout: Layout, index: Index, name: str) -> None:
        super().__init__(index, name)
        self._layout = layout

    def _open(self, path: str, size: int, place: bytes) -> BinaryIO:  # noqa: ARG002 # of the base
        try:
            return self._layout.blob(place.hex()).open("rb")
        except OSError as error:
            raise failure(error, path, self.name) from error


class InUse(Files):
    """Files that tell when they are used, so that they do not expire meanwhile."""

    def __init__(self, files: Files, use: Callable[[], None]) -> None:
        self.name = files.name
        self._files = files
        self._use = use

    def folders(self, under: str = "") -> Sequence[str]:
        self._use()
        return self._files.folders(under)

    def files(self, under: str = "") -> Iterator[str]:
        self._use()
        return self._files.files(under)

    def has(self, path: str) -> bool:
        return self._files.has(path)

    def open(self, path: str) -> BinaryIO:
        self._use()
        return self._files.open(path)

    def size(self, path: str) -> int:
        return self._files.size(path)
