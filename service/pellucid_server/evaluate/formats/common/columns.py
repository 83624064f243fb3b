"""Tables of numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.common.delimited import Delimited
from pellucid_server.evaluate.formats.common.numbers import number
from pellucid_server.evaluate.formats.common.rows import BadRow

LOOKED_AT = 100
"""Rows that tell whether a column is one of numbers."""


@dataclass(frozen=True)
class TableRow:
    """The cells of a row that were asked for, as text or numbers."""

    line: int
    columns: Sequence[str]
    cells: Sequence[str | float | None]
    problem: str = ""

    def values(self) -> tuple[float, ...]:
        """The numbers.

        Raises:
            BadRow: one is missing, or is none.
        """
        if self.problem:
            raise BadRow(self.problem)
        return tuple(map(_value, self.columns, self.cells))


def _value(column: str, cell: str | float | None) -> float:
    try:
        return number("" if cell is None else cell)
    except BadRow as error:
        raise BadRow(f"column {column!r}: {error}") from None


class Columns(Protocol):
    """A table whose rows are read as they are asked for."""

    path: str

    @property
    def names(self) -> Sequence[str]:
        """All columns."""

    def numeric(self) -> list[str]:
        """The columns of numbers, in their order."""

    def rows(self, columns: Sequence[str]) -> Iterator[TableRow]:
        """The rows, of these columns."""


class DelimitedColumns:
    """A CSV file; a column is of numbers where most of its first cells are."""

    def __init__(self, files: Files, path: str, delimiter: str) -> None:
        self.path = path
        self._file = Delimited(files, path, delimiter)
        self._numeric = self._look()

    @property
    def names(self) -> Sequence[str]:
        return self._file.columns

    def numeric(self) -> list[str]:
        return self._numeric

    def rows(self, columns: Sequence[str]) -> Iterator[TableRow]:
        places = [self.names.index(each) for each in columns]
        for record in self._file:
            cells = [record.cells[place] for place in places] if not record.problem else ()
            yield TableRow(record.line, columns, cells, record.problem)

    def _look(self) -> list[str]:
        first = [each.cells for each in islice(self._file, LOOKED_AT) if not each.problem]
        columns = zip(self.names, zip(*first, strict=True), strict=True) if first else ()
        return [name for name, cells in columns if _are_numbers(cells)]


def _are_numbers(cells: Sequence[str]) -> bool:
    given = [each for each in cells if each.strip()]
    return 2 * sum(map(_is_number, given)) > len(given)


def _is_number(text: str) -> bool:
    try:
        number(text)
    except BadRow:
        return False
    return True
