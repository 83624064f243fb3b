"""Data sets on their way to the server."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class UploadProgress:
    """How far an upload is: bytes and files; `stage` is reading or sending.

    What the server had already counts as done.
    """

    stage: str
    done: int
    total: int
    files: int

    @property
    def fraction(self) -> float:
        """In [0, 1]."""
        return self.done / self.total if self.total else 1.0


@dataclass(frozen=True)
class UploadedDataset:
    """A data set that the server has; `name` is what `evaluate` and `optimize` take."""

    name: str
    files: int
    bytes: int
    expire_time: datetime | None = None
    """When the server forgets it, unless it is used before."""
