"""Rows: appended in chunks by who holds the lease, read in order by anyone."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from pellucid_server.errors import NotFound
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store.blocks import extend_blocks
from pellucid_server.evaluate.store.evaluation import Evaluation
from pellucid_server.evaluate.store.evaluations import find, locate
from pellucid_server.evaluate.store.leases import Leases, hold
from pellucid_server.evaluate.store.records import COLUMNS, record_of, row_of
from pellucid_server.evaluate.store.schema import evaluations
from pellucid_server.evaluate.store.schema import rows as table

READ_AT_ONCE = 1000


class Rows(Leases):
    """Appends and reads rows."""

    def append(self, name: str, token: int, chunk: Sequence[Row]) -> Evaluation:
        """Commits a chunk and the progress, whole or not at all.

        Indices grow, within a chunk and from one to the next; not every one needs a row. A chunk
        that was committed before is left as it is.

        Raises:
            LeaseLost: another has the evaluation, or it has ended.
            NotFound: it was deleted.
            InvalidInput: a row cannot be kept.
            ValueError: indices do not grow, or rows differ from those committed.
        """
        if any(first.index >= second.index for first, second in pairwise(chunk)):
            raise ValueError("rows come in the order of their indices, each once")
        records = [record_of(row) for row in chunk]
        return self._write(lambda c: _append(c, name, token, chunk, records))

    def next_index(self, name: str) -> int:
        """Where to go on: rows before this index are committed.

        Raises:
            NotFound: there is no evaluation of that name.
        """
        return self._read(lambda c: find(c, name)).next_index

    def rows(self, name: str, start: int = 0) -> Iterator[Row]:
        """The rows from index `start` on, in order, some at a time.

        Raises:
            NotFound: there is no evaluation of that name.
        """
        key, _ = self._read(lambda c: locate(c, name))
        return self._stream(key, start)

    def row(self, name: str, index: int) -> Row:
        """The row of that index.

        Raises:
            NotFound: there is no such evaluation or row.
        """
        key, _ = self._read(lambda c: locate(c, name))
        wanted = select(*COLUMNS).where(table.c.evaluation_id == key, table.c.index == index)
        record = self._read(lambda c: c.execute(wanted).one_or_none())
        if record is None:
            raise NotFound(f"{name} has no row {index}: list its examples", field="index")
        return row_of(record)

    def _stream(self, key: int, start: int) -> Iterator[Row]:
        statement = (
            select(*COLUMNS)
            .where(table.c.evaluation_id == key)
            .order_by(table.c.index)
            .limit(READ_AT_ONCE)
        )
        while True:
            records = self._read(partial(_fetch, statement.where(table.c.index >= start)))
            yield from map(row_of, records)
            if len(records) < READ_AT_ONCE:
                return
            start = records[-1][0] + 1


def _fetch(statement: Select[Any], connection: Connection) -> Sequence[Sequence[Any]]:
    return connection.execute(statement).all()


def _append(
    connection: Connection,
    name: str,
    token: int,
    chunk: Sequence[Row],
    records: Sequence[Mapping[str, Any]],
) -> Evaluation:
    key, held = hold(connection, name, token)
    if not chunk:
        return held
    if chunk[0].index < held.next_index:
        _check_repeat(connection, key, records)
        return held
    connection.execute(insert(table), [{"evaluation_id": key, **record} for record in records])
    extend_blocks(connection, key, held.done, chunk)
    progress = {
        "done": held.done + len(chunk),
        "bad": held.bad + sum(bool(row.reason) for row in chunk),
        "next_index": chunk[-1].index + 1,
        "attempts": 1,
        "crashes": 0,
    }
    connection.execute(update(evaluations).where(evaluations.c.id == key).values(**progress))
    return find(connection, name)


def _check_repeat(connection: Connection, key: int, records: Sequence[Mapping[str, Any]]) -> None:
    first, last = records[0]["index"], records[-1]["index"]
    statement = (
        select(*COLUMNS)
        .where(table.c.evaluation_id == key, table.c.index.between(first, last))
        .order_by(table.c.index)
    )
    stored = connection.execute(statement).mappings().all()
    if [dict(record) for record in stored] != list(records):
        raise ValueError(f"rows {first} to {last} are not those that were committed before")
