"""Pages of rows: filtered, ordered, as quick for the last page as for the first."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, select

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store.blocks import indices_at, read_blocks
from pellucid_server.evaluate.store.columns import BLOCK_ROWS
from pellucid_server.evaluate.store.database import Database
from pellucid_server.evaluate.store.evaluations import locate
from pellucid_server.evaluate.store.filters import ExampleFilter, ExampleOrder, Query
from pellucid_server.evaluate.store.pages import (
    Page,
    Place,
    decode_token,
    encode_token,
    page_size_of,
)
from pellucid_server.evaluate.store.records import COLUMNS, row_of
from pellucid_server.evaluate.store.schema import rows
from pellucid_server.types import Array

EVERY = ExampleFilter()


class Smallest:
    """The smallest of many keys, and their positions; of equal keys, those that came first."""

    def __init__(self, most: int) -> None:
        self.keys = np.empty(0)
        self.positions = np.empty(0, np.int64)
        self._most = most

    @property
    def full(self) -> bool:
        """Whether only smaller keys than the largest one can enter."""
        return len(self.keys) == self._most

    def add(self, keys: Array, positions: Array) -> None:
        """Takes what is among the smallest so far."""
        if self.full:
            fits = keys < self.keys[-1]
            keys, positions = keys[fits], positions[fits]
        if not len(keys):
            return
        keys, positions = np.append(self.keys, keys), np.append(self.positions, positions)
        if len(keys) > self._most:
            near = keys <= np.partition(keys, self._most - 1)[self._most - 1]
            keys, positions = keys[near], positions[near]
        best = np.argsort(keys, kind="stable")[: self._most]
        self.keys, self.positions = keys[best], positions[best]


class Examples(Database):
    """Pages of rows."""

    def examples(
        self,
        name: str,
        wanted: ExampleFilter = EVERY,
        order: ExampleOrder = ExampleOrder.DATASET,
        *,
        descending: bool = False,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page[Row]:
        """A page of the rows that pass the filter.

        Time grows with the rows of the evaluation, not with what is asked: at most some 30 ms for
        a million in SQLite, and twice that in PostgreSQL.

        Raises:
            NotFound: there is no evaluation of that name.
            InvalidInput: a bound, the page's size or its token is wrong.
        """
        wanted.check()
        size, query = page_size_of(page_size), Query(name, wanted, order, descending)
        place = decode_token(page_token, query)
        return self._read(lambda c: _page(c, query, place, size))


def _page(connection: Connection, query: Query, place: Place | None, size: int) -> Page[Row]:
    key, evaluation = locate(connection, query.name)
    best = Smallest(size + 1)
    blocks = _blocks(query, place, evaluation.done)
    for first, columns in read_blocks(connection, key, query.columns, blocks):
        kept = np.flatnonzero(query.wanted.mask(columns))
        keys, positions = query.keys(columns, kept, first), kept + first
        if place:
            after = (keys > place.key) | ((keys == place.key) & (positions > place.position))
            keys, positions = keys[after], positions[after]
        best.add(keys, positions)
        if best.full and query.by_position:
            break
    token = ""
    if best.full:
        token = encode_token(Place(float(best.keys[-2]), int(best.positions[-2])), query)
    indices = indices_at(connection, key, best.positions[:size].tolist())
    return Page(_rows(connection, key, indices), token)


def _blocks(query: Query, place: Place | None, done: int) -> range:
    """The blocks that may hold rows after `place`."""
    every = range(-(-done // BLOCK_ROWS))
    if not query.by_position:
        return every
    here = place.position // BLOCK_ROWS if place else None
    if query.descending:
        return every[here::-1]
    return every[here:]


def _rows(connection: Connection, key: int, indices: Sequence[int]) -> tuple[Row, ...]:
    statement = select(*COLUMNS).where(rows.c.evaluation_id == key, rows.c.index.in_(indices))
    found = {record[0]: row_of(record) for record in connection.execute(statement)}
    return tuple(found[index] for index in indices)
