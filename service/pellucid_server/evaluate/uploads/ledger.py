import os
from pathlib import Path

from pellucid_server.errors import InvalidInput, Overloaded
from pellucid_server.evaluate.uploads.layout import Layout, declared_size


class Ledger:
    """How full an upload store is: partial files count whole from their start."""

    def __init__(self, layout: Layout, quota: int) -> None:
        self._layout = layout
        self._quota = quota

    def open_partial(self, path: Path) -> None:
        """Makes an empty partial file and reserves the room that its name tells.

        Raises:
            InvalidInput: it is larger than the quota.
            Overloaded: the store is full.
            FileExistsError: it is there already.
        """
        size = declared_size(path)
        if size > self._quota:
            raise InvalidInput(
                f"the file has {size} bytes; uploads may have {self._quota} together "
                "(setting `uploads.quota_bytes`)",
                field="file.size",
            )
        with self._layout.locked(alone=True):
            used = self._used()
            if used + size > self._quota:
                raise Overloaded(
                    f"{used} of the {self._quota} bytes for uploads are taken (setting "
                    "`uploads.quota_bytes`): wait until data sets that nobody uses expire, or "
                    "have the server's operator raise it",
                    retry_after=60,
                )
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            self.set(used + size)

    def drop_partial(self, path: Path) -> None:
        """Removes a partial file and gives its room back."""
        with self._layout.locked(alone=True):
            path.unlink()
            self.set(self._used() - declared_size(path))

    def set(self, used: int) -> None:
        """Writes how many bytes are taken; the caller holds the lock alone."""
        handle = os.open(self._layout.usage, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.pwrite(handle, b"%020d" % max(used, 0), 0)
        finally:
            os.close(handle)

    def count(self) -> int:
        """Bytes taken, looked up file by file."""
        blobs = (entry for folder in os.scandir(self._layout.blobs) for entry in os.scandir(folder))
        whole = sum(entry.stat().st_size for entry in blobs)
        return whole + sum(map(declared_size, self._layout.partials.iterdir()))

    def used(self) -> int:
        """Bytes taken, as last written; raises OSError or ValueError where that is not there."""
        return int(self._layout.usage.read_bytes())

    def _used(self) -> int:
        try:
            return self.used()
        except (FileNotFoundError, ValueError):
            return self.count()
