import os
import tempfile
from types import TracebackType
from typing import Self

from pellucid_server.evaluate.files import storage_failure
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.stored import Stored


class Spool:
    """A temporary file, bounded and without a name: gone with its last user, or the process."""

    def __init__(self, limits: Limits) -> None:
        """Raises Overloaded where the temporary folder takes none."""
        self._limits = limits
        self._size = 0
        try:
            self._file = tempfile.TemporaryFile(dir=limits.spool, buffering=0)  # noqa: SIM115 # see __exit__
        except OSError as error:
            raise storage_failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Appends; raises InvalidInput past the limit, Overloaded where the disk is full."""
        self._size += len(data)
        self._limits.check_spool(self._size)
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise storage_failure(error) from error

    def stored(self, name: str) -> Stored:
        """What was written, which outlives the spool."""
        return Stored(os.dup(self._file.fileno()), name)
