"""Names of very many files without holding them in memory: SQLite's temporary database."""

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from pellucid_server.errors import Overloaded
from pellucid_server.evaluate.files import checked_path, is_hidden
from pellucid_server.evaluate.sources.limits import Limits

_FOLDERS = "SELECT name FROM folder WHERE parent = ? AND name > ? ORDER BY name LIMIT 1000"
_FILES = "SELECT name FROM file WHERE folder = ? AND name > ? ORDER BY name LIMIT 1000"
_SCHEMA = """
CREATE TABLE file (folder TEXT, name TEXT, size INTEGER, place BLOB,
                   PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE folder (parent TEXT, name TEXT, PRIMARY KEY (parent, name)) WITHOUT ROWID;
"""


class Index:
    """Sizes and places of files by path, listed folder by folder, sorted by name.

    `count` and `total` tell how many files and bytes were added.

    It spills to the temporary folder, and is gone when it is let go. Safe in several threads.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.count = 0
        self.total = 0
        self._newest_folder = ""
        self._lock = threading.Lock()
        # "" is a temporary database: deleted when closed, on disk where it outgrows its cache.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.executescript(f"PRAGMA journal_mode=OFF; {_SCHEMA} BEGIN;")

    def add(self, path: str, size: int, place: bytes) -> None:
        """Adds a file, or replaces one of the same path; hidden ones are left out.

        Raises:
            InvalidInput, OutsideRoot: the path is not allowed, or a limit is passed.
        """
        path = checked_path(path)
        parts = path.split("/")
        if not path or any(map(is_hidden, parts)):
            return
        self.count += 1
        self.total += size
        self._limits.check_count(self.count)
        self._limits.check_file(path, size)
        self._limits.check_total(self.total)
        folder, _, name = path.rpartition("/")
        self._add_folder(folder)
        self._execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", folder, name, size, place)

    def _add_folder(self, folder: str) -> None:
        if folder == self._newest_folder:
            return
        self._newest_folder = folder
        while folder:
            parent, _, name = folder.rpartition("/")
            self._execute("INSERT OR IGNORE INTO folder VALUES (?, ?)", parent, name)
            folder = parent

    def find(self, path: str) -> tuple[int, bytes] | None:
        """Size and place of a file."""
        folder, _, name = checked_path(path).rpartition("/")
        rows = self._execute(
            "SELECT size, place FROM file WHERE folder = ? AND name = ?", folder, name
        )
        return rows[0] if rows else None

    def folders(self, under: str) -> Sequence[str]:
        """Names of the folders in `under`, sorted."""
        return list(self._names(_FOLDERS, under))

    def files(self, under: str) -> Iterator[str]:
        """Names of the files in `under`, sorted."""
        return self._names(_FILES, under)

    def _names(self, query: str, under: str) -> Iterator[str]:
        rows = self._execute(query, under, "")
        while rows:
            yield from (name for (name,) in rows)
            rows = self._execute(query, under, rows[-1][0])

    def _execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock, closing(self._database.execute(query, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.OperationalError as error:
            raise Overloaded(
                f"the list of the data set's files does not fit the temporary folder: {error}",
                retry_after=60,
            ) from error
