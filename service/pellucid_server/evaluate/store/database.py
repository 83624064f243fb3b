"""A database as the rest of the store sees it: transactions that are tried again, and a clock."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Double, Engine, cast, extract, func, literal

from pellucid_server.evaluate.store.faults import persistently

T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds since 1970."""


class Database:
    """Transactions, each tried again for up to `patience` seconds. Safe from many threads."""

    def __init__(self, engine: Engine, clock: Clock = time.time, patience: float = 30.0) -> None:
        self._engine = engine
        self._writer = engine.execution_options(immediate=True)
        self._clock = clock
        self._patience = patience
        self._hurried = threading.Event()

    def hurry(self) -> None:
        """From now on a database that is away is not waited for."""
        self._hurried.set()

    def close(self) -> None:
        """Lets go of the connections."""
        self._engine.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        return self._transaction(self._engine, work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._transaction(self._writer, work)

    def _transaction(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        def once() -> T:
            with engine.begin() as connection:
                return work(connection)

        return persistently(once, self._patience, self._hurried.is_set)

    def _now(self) -> ColumnElement[Any]:
        """Of the database where it has a clock that all replicas share, or else the caller's."""
        if self._engine.dialect.name == "postgresql":
            return cast(extract("epoch", func.clock_timestamp()), Double)
        return literal(self._clock(), Double)
