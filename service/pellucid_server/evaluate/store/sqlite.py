"""Connections to a SQLite file."""

import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.store.errors import StoreUnavailable

BUSY_SECONDS = 10
"""How long a writer waits for another."""
PAGE_BYTES = 8192
"""Columns of blocks are up to 32 KB: larger pages make them quicker to read."""
CACHE_KIB = 16 * 1024


def sqlite_engine(url: URL) -> Engine:
    """An engine of a file, whose folder is made where it is missing.

    Raises:
        InvalidInput: the URL names no file.
        StoreUnavailable: the folder cannot be made.
    """
    if not url.database or url.database == ":memory:" or url.query:
        raise InvalidInput(
            "a SQLite store is a file: sqlite:///relative/path.db or sqlite:////absolute/path.db",
            field="store",
        )
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"the store's folder cannot be made: {error}") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    """Settings of a connection.

    In write-ahead mode a commit is in the file, or in the system's memory of it, before it
    returns: kill -9 loses nothing committed whatever `synchronous` is. FULL also waits until the
    disk has it, so that a power cut loses nothing either: one fsync for each chunk of rows.
    """
    connection.isolation_level = None  # transactions begin where `_begin` says, not by guessing
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A writer that begins by reading could fail where it goes on to write: it must begin so.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
