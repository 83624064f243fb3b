import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pellucid_server.errors import InvalidInput, Overloaded
from pellucid_server.evaluate.files import is_full
from pellucid_server.evaluate.uploads.layout import Layout
from pellucid_server.evaluate.uploads.ledger import Ledger
from pellucid_server.evaluate.uploads.partial import Partial


class Receiver:
    """Takes in files piece by piece."""

    def __init__(self, layout: Layout, ledger: Ledger) -> None:
        self._layout = layout
        self._ledger = ledger

    def receive(self, digest: str, size: int, offset: int, chunks: Iterable[bytes]) -> int:
        """Appends from `offset`; the last byte makes the file whole. Returns the bytes there.

        What cannot become whole, or finds the disk full, is removed; what breaks off stays.
        """
        blob = self._layout.blob(digest)
        if blob.exists():
            for _ in chunks:
                pass
            return size
        partial = self._claimed(digest, size, offset)
        try:
            there = partial.fill(digest, size, offset, chunks)
            if there == size:
                self._finish(partial, blob)
        except InvalidInput:
            self._drop(partial)
            raise
        except OSError as error:
            if is_full(error):
                self._drop(partial)
            raise
        else:
            return there
        finally:
            is_apart = partial.path != self._layout.partial(digest, size)
            if is_apart and partial.path.exists():
                self._drop(partial)
            partial.close()

    def _claimed(self, digest: str, size: int, offset: int) -> Partial:
        """The file's partial one, or where another writer has it, one apart from the start."""
        path = self._layout.partial(digest, size)
        partial = self._try(path, create=offset == 0)
        if partial is None and offset == 0:
            partial = self._try(path.with_name(f"{path.name}.{uuid.uuid4().hex}"), create=True)
        if partial is None:
            raise Overloaded(
                "the file is being sent by another caller: ask again how much of it is there",
                retry_after=2,
            )
        if offset > (there := partial.size()):
            partial.close()
            raise _not_there(there)
        return partial

    def _try(self, path: Path, *, create: bool) -> Partial | None:
        """None: another writer has it, or finished it this very moment."""
        try:
            return Partial(path)
        except BlockingIOError:
            return None
        except FileNotFoundError:
            if not create:
                raise _not_there(0) from None
        with suppress(FileExistsError):
            self._ledger.open_partial(path)
        try:
            return Partial(path)
        except (BlockingIOError, FileNotFoundError):
            return None

    def _finish(self, partial: Partial, blob: Path) -> None:
        with self._layout.locked(alone=True):
            if not blob.exists():
                blob.parent.mkdir(exist_ok=True)
                partial.path.rename(blob)
                return
        self._drop(partial)

    def _drop(self, partial: Partial) -> None:
        self._ledger.drop_partial(partial.path)


def _not_there(there: int) -> InvalidInput:
    return InvalidInput(
        f"{there} bytes of the file are there: go on from them", field="file.offset"
    )
