"""Which failures of a database pass by themselves, and what the others mean."""

import errno
import random
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import exc

from pellucid_server.evaluate.store.errors import StoreFull, StoreUnavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between tries; each pause is up to twice the one before."""
POSTGRES_DISK_FULL = "53100"

PASSING = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.InternalError,  # PostgreSQL's, of a server that only reads while another takes over
    exc.TimeoutError,
)

T = TypeVar("T")


def persistently(
    work: Callable[[], T], patience: float, hurried: Callable[[], bool] = lambda: False
) -> T:
    """Does `work`, again where the database failed in a way that passes, for `patience` seconds.

    Who is `hurried` tries no more.

    Work must bear repeating: its first commit may have worked though its answer got lost.

    Raises:
        StoreFull: there is no room; at once.
        StoreUnavailable: the database did not come back, or it is damaged.
    """
    pause, deadline = FIRST_PAUSE, time.monotonic() + patience
    while True:
        try:
            return work()
        except (exc.DBAPIError, exc.TimeoutError) as error:
            if isinstance(error, (exc.IntegrityError, exc.ProgrammingError, exc.DataError)):
                raise
            if is_full(error):
                raise StoreFull(
                    "the store has no room: free space on its disk; what was committed is safe"
                ) from error
            if not _passes(error) or hurried() or time.monotonic() + pause > deadline:
                raise StoreUnavailable(f"the store does not answer: {_reason(error)}") from error
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # spreads replicas, no secret
        pause = min(2 * pause, LONGEST_PAUSE)


def is_full(error: exc.SQLAlchemyError) -> bool:
    """Whether the disk, or the room that the database may take, is used up."""
    cause = getattr(error, "orig", None)
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) == POSTGRES_DISK_FULL
        or getattr(cause, "errno", None) == errno.ENOSPC
    )


def _passes(error: exc.SQLAlchemyError) -> bool:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, PASSING)


def _reason(error: exc.SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
