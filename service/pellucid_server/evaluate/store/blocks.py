"""Columns in the database, a block at a time; a row's position counts rows from 0."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, bindparam, insert, select, update

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store.columns import BLOCK_ROWS, pack, unpack
from pellucid_server.evaluate.store.schema import columns
from pellucid_server.types import Array

READ_AT_ONCE = 32
"""Blocks of one statement: all their columns are 6 MB."""

table = columns.c


def extend_blocks(connection: Connection, key: int, done: int, chunk: Sequence[Row]) -> None:
    """Adds rows behind the `done` ones: fills the last block, then begins others."""
    block, filled = divmod(done, BLOCK_ROWS)
    if filled:
        _fill(connection, key, block, chunk[: BLOCK_ROWS - filled])
        chunk, block = chunk[BLOCK_ROWS - filled :], block + 1
    parts = (chunk[start : start + BLOCK_ROWS] for start in range(0, len(chunk), BLOCK_ROWS))
    records = [
        {"evaluation_id": key, "block": number, "name": name, "data": data}
        for number, part in enumerate(parts, block)
        for name, data in pack(part).items()
    ]
    if records:
        connection.execute(insert(columns), records)


def read_blocks(
    connection: Connection, key: int, names: Iterable[str], blocks: range
) -> Iterator[tuple[int, Mapping[str, Array]]]:
    """The position of the first row, and the columns of these names, of each block in turn.

    One block at a time is in memory, where the driver can do so; PostgreSQL's holds a few.
    """
    wanted = sorted(names)
    for start in range(0, len(blocks), READ_AT_ONCE):
        yield from _read(connection, key, wanted, blocks[start : start + READ_AT_ONCE])


def indices_at(connection: Connection, key: int, positions: Sequence[int]) -> list[int]:
    """The indices of the rows at these positions."""
    places = [divmod(position, BLOCK_ROWS) for position in positions]
    statement = select(table.block, table.data).where(
        table.evaluation_id == key,
        table.name == "index",
        table.block.in_({block for block, _ in places}),
    )
    found = {block: unpack("index", data) for block, data in connection.execute(statement)}
    return [int(found[block][offset]) for block, offset in places]


def _read(
    connection: Connection, key: int, names: Sequence[str], blocks: range
) -> Iterator[tuple[int, Mapping[str, Array]]]:
    statement = select(table.block, table.name, table.data).where(
        table.evaluation_id == key,
        table.block.between(min(blocks), max(blocks)),
        table.name.in_(names),
    )
    order = table.block if blocks.step > 0 else table.block.desc()
    records = connection.execute(statement.order_by(order).execution_options(binary=True))
    for block, found in groupby(records, itemgetter(0)):
        yield block * BLOCK_ROWS, {name: unpack(name, data) for _, name, data in found}


def _fill(connection: Connection, key: int, block: int, part: Sequence[Row]) -> None:
    this = (table.evaluation_id == key, table.block == block)
    before = connection.execute(select(table.name, table.data).where(*this)).all()
    added = pack(part)
    longer = [{"column": name, "longer": data + added[name]} for name, data in before]
    grow = update(columns).where(*this, table.name == bindparam("column"))
    connection.execute(grow.values(data=bindparam("longer")), longer)
