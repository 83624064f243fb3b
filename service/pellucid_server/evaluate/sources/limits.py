from dataclasses import dataclass
from pathlib import Path

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD

HARMLESS = 16 * 2**20
"""Bytes up to which no ratio is looked at: blank pictures are small however they are packed."""


@dataclass(frozen=True)
class Limits:
    """What a data set may cost; names as in the settings."""

    files: int = 5_000_000
    file_bytes: int = 4 * 2**30
    total_bytes: int = 2**40
    ratio: int = 250
    spool_bytes: int = 32 * 2**30
    spool: Path | None = None
    """Folder of what is unpacked or fetched for a while; None: the system's temporary one."""

    def check_count(self, count: int) -> None:
        """Raises InvalidInput where there are too many files."""
        if count > self.files:
            raise self._over("files", f"the data set has more than {self.files} files")

    def check_file(self, path: str, size: int) -> None:
        """Raises InvalidInput where a file is too large."""
        if size > self.file_bytes:
            raise self._over(
                "file_bytes", f"{path[:200]!r} has {size} bytes; the most is {self.file_bytes}"
            )

    def check_total(self, total: int) -> None:
        """Raises InvalidInput where all files together are too large."""
        if total > self.total_bytes:
            raise self._over(
                "total_bytes", f"the data set has more than {self.total_bytes} bytes unpacked"
            )

    def check_ratio(self, path: str, packed: int, unpacked: int) -> None:
        """Raises InvalidInput where unpacking gives suspiciously much."""
        if unpacked > HARMLESS and unpacked > packed * self.ratio:
            raise self._over(
                "ratio", f"{path[:200]!r} unpacks to more than {self.ratio} times its size"
            )

    def check_spool(self, size: int) -> None:
        """Raises InvalidInput where the temporary copy grows too large."""
        if size > self.spool_bytes:
            raise self._over(
                "spool_bytes",
                f"its temporary copy would have more than {self.spool_bytes} bytes: send the data "
                "set as a folder, a zip or a plain tar, which need none",
            )

    @staticmethod
    def _over(setting: str, message: str) -> InvalidInput:
        return InvalidInput(f"{message} (setting `datasets.{setting}`)", field=FIELD)
