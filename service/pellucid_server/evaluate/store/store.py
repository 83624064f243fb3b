"""The store as a whole."""

import time

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.store.database import Clock
from pellucid_server.evaluate.store.evaluations import Evaluations
from pellucid_server.evaluate.store.examples import Examples
from pellucid_server.evaluate.store.migrate import migrate
from pellucid_server.evaluate.store.postgres import postgres_engine
from pellucid_server.evaluate.store.rows import Rows
from pellucid_server.evaluate.store.sqlite import sqlite_engine

PATIENCE = 30.0
"""Seconds for which a database may be away before a call fails."""

ENGINES = {
    "sqlite": sqlite_engine,
    "postgresql": postgres_engine,
    "postgres": postgres_engine,
}


class Store(Evaluations, Rows, Examples):
    """Evaluations, who works on them, and their rows. Blocks; safe from many threads.

    Every method may raise StoreUnavailable, after the store's patience, and StoreFull.
    """

    def prepare(self) -> None:
        """Brings the tables to this version, and removes what a deletion left."""
        self._write(migrate)
        self.purge()


def open_store(url: str, *, clock: Clock = time.time, patience: float = PATIENCE) -> Store:
    """Opens a store, and brings its tables to this version.

    Takes `sqlite:///relative.db`, `sqlite:////absolute.db` and `postgresql://user@host/name`.
    `clock` counts leases on SQLite; see `leases` for clocks that jump.

    Raises:
        InvalidInput: the URL is not of these forms.
        StoreTooNew: a newer version of the program was here.
        StoreUnavailable: the database cannot be used.
    """
    store = Store(_engine(_parse(url)), clock, patience)
    try:
        store.prepare()
    except BaseException:
        store.close()
        raise
    return store


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise _unknown("this") from None  # it may hold a password


def _engine(url: URL) -> Engine:
    kind = url.drivername.partition("+")[0]
    if kind not in ENGINES:
        raise _unknown(str(url))
    return ENGINES[kind](url)


def _unknown(url: str) -> InvalidInput:
    return InvalidInput(
        f"{url} is no store: give sqlite:///FILE or postgresql://USER@HOST/DATABASE",
        field="store",
    )
