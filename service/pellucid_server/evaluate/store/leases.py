"""Leases: who works on an evaluation, until when, and what happens to those who died.

Every claim gets a larger token, and every write checks the token in its own transaction: an owner
that was taken for dead writes nothing more, so that no two runs of an evaluation mix, and no row
is written twice or left out, whatever clocks do. Clocks only decide how soon a dead owner is
noticed. On PostgreSQL that is the database's clock, on SQLite the caller's. Where it jumps, either
way, an owner that lives may be taken over, and gets `LeaseLost`; a dead one is taken over within
two leases all the same.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, null, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from pellucid_server.evaluate.store.database import Database
from pellucid_server.evaluate.store.errors import LeaseLost
from pellucid_server.evaluate.store.evaluation import (
    COLUMNS,
    ENDED,
    Evaluation,
    State,
    evaluation_of,
)
from pellucid_server.evaluate.store.evaluations import find, named
from pellucid_server.evaluate.store.schema import evaluations

table = evaluations.c


class Leases(Database):
    """Claims evaluations, holds on to them, and ends them."""

    def claim(self, owner: str, lease_seconds: float) -> Evaluation | None:
        """Takes the oldest evaluation that waits, or whose owner let its lease run out.

        Where the answer of a claim gets lost with the connection, a second one may be taken, and
        the first waits for its lease to run out.
        """

        def work(connection: Connection) -> Evaluation | None:
            record = connection.execute(_claim(owner, self._now(), lease_seconds)).one_or_none()
            return evaluation_of(record) if record else None

        return self._write(work)

    def waiting(self) -> tuple[int, float]:
        """How many evaluations `claim` would find, and the age of the oldest in seconds."""
        now = self._now()
        age = func.coalesce(now - func.min(table.created), 0.0)
        statement = select(func.count(), age).select_from(evaluations).where(_waits(now))
        count, oldest = self._read(lambda c: c.execute(statement).one())
        return count, max(oldest, 0.0)

    def renew(self, name: str, token: int, lease_seconds: float) -> Evaluation:
        """Holds on to an evaluation; what comes back says whether it is to be cancelled.

        Raises:
            LeaseLost: another has it, or it has ended.
            NotFound: it was deleted.
        """
        return self._write(
            lambda c: _change(c, name, token, {"lease_until": self._now() + lease_seconds})
        )

    def set_total(self, name: str, token: int, total: int) -> Evaluation:
        """Says how many images there are to do; raises as `renew`."""
        return self._write(lambda c: _change(c, name, token, {"total": total}))

    def crashed(self, name: str) -> None:
        """Notes that a server which computed it crashed; more rows make that forgotten."""
        goes_on = table.state.in_([State.PENDING, State.RUNNING])
        statement = update(evaluations).where(named(name), goes_on)
        self._write(lambda c: c.execute(statement.values(crashes=table.crashes + 1)))

    def release(self, name: str, token: int) -> Evaluation:
        """Gives it back unfinished, for anyone to go on at once; raises as `renew`."""
        values = {
            "state": State.PENDING,
            "owner": null(),
            "lease_until": null(),
            "attempts": 0,
        }
        return self._write(lambda c: _end(c, name, token, values))

    def finish(
        self,
        name: str,
        token: int,
        state: State,
        *,
        reason: str = "",
        report: str | None = None,
        dataset_digest: str = "",
    ) -> Evaluation:
        """Ends it: succeeded with a report, failed with a reason, or cancelled; raises as `renew`.

        Finishing again with the same token and state changes nothing.
        """
        if state not in ENDED:
            raise ValueError(f"{state} is no end")
        values = {
            "state": state,
            "reason": reason,
            "report": report,
            "dataset_digest": dataset_digest,
            "ended": self._now(),
            "owner": null(),
            "lease_until": null(),
        }
        return self._write(lambda c: _end(c, name, token, values))


def _claim(owner: str, now: ColumnElement[float], seconds: float) -> ReturningUpdate[Any]:
    oldest = (
        select(table.id)
        .where(_waits(now, seconds))
        .order_by(table.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # SQLite has one writer, and leaves this out
    )
    values = {
        "state": State.RUNNING,
        "owner": owner,
        "token": table.token + 1,
        "attempts": table.attempts + 1,
        "lease_until": now + seconds,
    }
    statement = update(evaluations).where(table.id == oldest.scalar_subquery())
    return statement.values(**values).returning(*COLUMNS)


def _waits(now: ColumnElement[float], lease: float | None = None) -> ColumnElement[bool]:
    """Nobody works on it, or whoever did let the lease run out.

    One that runs for longer than a `lease` can was given before the clock was set back.
    """
    over = table.lease_until <= now
    if lease is not None:
        over = or_(over, table.lease_until > now + 2 * lease)
    overdue = and_(table.state == State.RUNNING, over)
    return and_(or_(table.state == State.PENDING, overdue), table.deleted.is_(False))


def hold(connection: Connection, name: str, token: int) -> tuple[int, Evaluation]:
    """The key and the state of an evaluation, which stays as it is until the transaction ends.

    Raises:
        LeaseLost: the token is not the current one.
        NotFound: the evaluation was deleted.
    """
    held = and_(named(name), table.token == token, table.state == State.RUNNING)
    statement = select(table.id, *COLUMNS).where(held).with_for_update()
    record = connection.execute(statement).one_or_none()
    if record is None:
        found = find(connection, name)
        raise LeaseLost(
            f"{name} is {found.state} under token {found.token}, not yours ({token}): stop"
        )
    return record[0], evaluation_of(record[1:])


def _change(connection: Connection, name: str, token: int, values: Mapping[str, Any]) -> Evaluation:
    key, _ = hold(connection, name, token)
    statement = update(evaluations).where(table.id == key).values(**values).returning(*COLUMNS)
    return evaluation_of(connection.execute(statement).one())


def _end(connection: Connection, name: str, token: int, values: Mapping[str, Any]) -> Evaluation:
    found = find(connection, name)
    if (found.token, found.state) == (token, values["state"]):
        return found  # done by a try whose answer got lost
    return _change(connection, name, token, values)
