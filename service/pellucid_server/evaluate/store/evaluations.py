"""Evaluations by name."""

from dataclasses import asdict
from functools import partial

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    insert,
    null,
    select,
    update,
)

from pellucid_server.errors import NotFound
from pellucid_server.evaluate.store.database import Database
from pellucid_server.evaluate.store.errors import WrongState
from pellucid_server.evaluate.store.evaluation import (
    COLUMNS,
    ENDED,
    Evaluation,
    NewEvaluation,
    State,
    evaluation_of,
    new_name,
)
from pellucid_server.evaluate.store.pages import (
    Page,
    Place,
    decode_token,
    encode_token,
    page_size_of,
)
from pellucid_server.evaluate.store.schema import columns, evaluations, rows

PURGED_AT_ONCE = 10_000
"""Rows deleted in one transaction: others write in between."""

table = evaluations.c


class Evaluations(Database):
    """Creates, finds, lists, cancels and deletes."""

    def create(self, new: NewEvaluation) -> Evaluation:
        """Keeps a new evaluation, which waits for `claim`."""
        name = new_name()
        fresh = Evaluation(name=name, **asdict(new))
        values = {column.name: getattr(fresh, column.name) for column in COLUMNS}

        def work(connection: Connection) -> Evaluation:
            if located := _locate(connection, name):
                return located[1]  # committed by a try whose answer got lost
            values["created"] = self._now()
            connection.execute(insert(evaluations).values(**values, deleted=False))
            return find(connection, name)

        return self._write(work)

    def get(self, name: str) -> Evaluation:
        """The evaluation of that name.

        Raises:
            NotFound: there is none.
        """
        return self._read(lambda connection: find(connection, name))

    def evaluations(
        self,
        *,
        model_name: str = "",
        state: State | None = None,
        tenant: str | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page[Evaluation]:
        """Newest first; of one model, in one state, or of one tenant.

        Raises:
            InvalidInput: the page's size or token is wrong.
        """
        size, query = page_size_of(page_size), ("evaluations", model_name, state, tenant)
        place = decode_token(page_token, query)
        wanted: list[ColumnElement[bool]] = [table.deleted.is_(False)]
        wanted += [table.model_name == model_name] if model_name else []
        wanted += [table.state == state] if state else []
        wanted += [] if tenant is None else [table.tenant == tenant]
        wanted += [table.id < place.position] if place else []
        statement = select(table.id, *COLUMNS).where(*wanted).order_by(table.id.desc())
        found = self._read(lambda c: c.execute(statement.limit(size + 1)).all())
        more = len(found) > size
        items = tuple(evaluation_of(record[1:]) for record in found[:size])
        return Page(items, encode_token(Place(0.0, found[size - 1].id), query) if more else "")

    def request_cancel(self, name: str) -> Evaluation:
        """Asks its owner to stop it; one that waits is cancelled at once, one that ended stays.

        Raises:
            NotFound: there is none of that name.
        """
        waits = table.state == State.PENDING
        statement = (
            update(evaluations)
            .where(named(name), table.state.in_([State.PENDING, State.RUNNING]))
            .values(
                cancel_requested=True,
                state=case((waits, State.CANCELLED), else_=table.state),
                ended=case((waits, self._now()), else_=table.ended),
            )
        )

        def work(connection: Connection) -> Evaluation:
            connection.execute(statement)
            return find(connection, name)

        return self._write(work)

    def resume(self, name: str) -> Evaluation:
        """Lets one that failed or was cancelled go on from its rows.

        Raises:
            NotFound: there is none of that name.
            WrongState: it succeeded.
        """
        statement = (
            update(evaluations)
            .where(named(name), table.state.in_([State.FAILED, State.CANCELLED]))
            .values(
                state=State.PENDING,
                reason="",
                ended=null(),
                cancel_requested=False,
                attempts=0,
                crashes=0,
            )
        )

        def work(connection: Connection) -> Evaluation:
            connection.execute(statement)
            found = find(connection, name)
            if found.state in ENDED:
                raise WrongState(f"{name} is done: start a new evaluation", field="evaluation")
            return found

        return self._write(work)

    def delete(self, name: str) -> None:
        """Deletes an evaluation that does not run, with its rows; its owner's death counts as end.

        Raises:
            NotFound: there is none of that name.
            WrongState: it runs.
        """
        runs = and_(table.state == State.RUNNING, table.lease_until > self._now())
        statement = update(evaluations).where(named(name), ~runs).values(deleted=True)

        def work(connection: Connection) -> None:
            if connection.execute(statement).rowcount == 0:
                find(connection, name)
                raise WrongState(f"{name} runs: cancel it first", field="evaluation")

        self._write(work)
        self.purge()

    def purge(self) -> None:
        """Removes what was deleted, rows by rows, so that others can write in between."""
        doomed = select(table.id).where(table.deleted.is_(True))
        for key in self._read(lambda c: c.execute(doomed).scalars().all()):
            while self._write(partial(_purge, key=key)):
                pass


def find(connection: Connection, name: str) -> Evaluation:
    """Within a transaction.

    Raises:
        NotFound: there is no evaluation of that name.
    """
    return locate(connection, name)[1]


def locate(connection: Connection, name: str) -> tuple[int, Evaluation]:
    """An evaluation with the key that its rows carry; raises as `find`."""
    if located := _locate(connection, name):
        return located
    raise no_evaluation(name)


def no_evaluation(name: str) -> NotFound:
    """What is said where there is none of that name."""
    return NotFound(f"there is no evaluation {name!r}: list them to see names", field="evaluation")


def named(name: str) -> ColumnElement[bool]:
    """The evaluation of that name, unless it was deleted."""
    return and_(table.name == name, table.deleted.is_(False))


def _locate(connection: Connection, name: str) -> tuple[int, Evaluation] | None:
    record = connection.execute(select(table.id, *COLUMNS).where(named(name))).one_or_none()
    return (record[0], evaluation_of(record[1:])) if record else None


def _purge(connection: Connection, key: int) -> bool:
    """Removes some rows of a deleted evaluation, or what is left of it; whether there is more."""
    some = select(rows.c.index).where(rows.c.evaluation_id == key).limit(PURGED_AT_ONCE)
    doomed = delete(rows).where(rows.c.evaluation_id == key, rows.c.index.in_(some))
    if connection.execute(doomed).rowcount:
        return True
    connection.execute(delete(columns).where(columns.c.evaluation_id == key))
    connection.execute(delete(evaluations).where(table.id == key))
    return False
