"""Images that a list names."""

from collections.abc import Sequence

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.evaluate.files import Files, checked_path, joined
from pellucid_server.evaluate.formats.common.rows import BadRow

UNUSABLE = (InvalidInput, NotFound, OutsideRoot)
"""What is wrong with a file, in difference to a storage that fails."""


class Places:
    """Finds images by the names that a list has for them, in one of several folders."""

    def __init__(
        self, files: Files, folders: Sequence[str], endings: Sequence[str] = ("",)
    ) -> None:
        self._files = files
        self._forms = [(folder, ending) for folder in dict.fromkeys(folders) for ending in endings]

    def find(self, name: str) -> str:
        """The path of an image; the form that did last time is tried first.

        Raises:
            BadRow: there is none, or its path leads out of the set.
        """
        try:
            clean = checked_path(name.replace("\\", "/"))
            for place, (folder, ending) in enumerate(self._forms):
                path = joined(folder, clean + ending)
                if clean and self._files.has(path):
                    self._forms.insert(0, self._forms.pop(place))
                    return path
        except UNUSABLE as error:
            raise BadRow(error.message) from error
        raise BadRow(f"there is no image {name[:200]!r}")
