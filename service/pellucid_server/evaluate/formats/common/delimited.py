"""CSV and its kin: a header, then a row a line."""

import csv
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.formats.common.lines import Line, lines
from pellucid_server.nearest import nearest

ENDINGS = (".csv", ".tsv")
SNIFFED = (",", ";", "\t")


def _one_character(value: str) -> str:
    value = {"tab": "\t", "\\t": "\t"}.get(value, value)
    if len(value) > 1 or value in {'"', "\r", "\n", "\0", " ", "|"}:
        raise ValueError("must be one character, or tab; not a space, a quote or |")
    return value


Delimiter = Annotated[str, AfterValidator(_one_character)]
"""Of a file; empty: the one of comma, semicolon and tab that gives the header most columns."""


class Record(NamedTuple):
    """A row with a cell for each column, and the number of its line; or a problem."""

    line: int
    cells: Sequence[str]
    problem: str = ""


class Delimited:
    """A file of cells. A row is a line: quotes may hold delimiters, but no ends of lines.

    Raises:
        InvalidInput: it has no header that can be read.
    """

    def __init__(self, files: Files, path: str, delimiter: str = "") -> None:
        self.path = path
        self._files = files
        first = next(lines(files, path), None)
        problem = first.problem if first else "the file is empty"
        if first is None or problem:
            raise InvalidInput(f"{path} has no header: {problem}", field=FIELD)
        self._delimiter = delimiter or max(SNIFFED, key=lambda each: len(_cells(first, each).cells))
        header = _cells(first, self._delimiter)
        if header.problem:
            raise InvalidInput(f"{path} has no header: {header.problem}", field=FIELD)
        self.columns = tuple(name.strip() for name in header.cells)

    def __iter__(self) -> Iterator[Record]:
        rows = lines(self._files, self.path)
        next(rows)
        for line in rows:
            record = _cells(line, self._delimiter)
            if not record.problem and len(record.cells) != len(self.columns):
                problem = f"the line has {len(record.cells)} cells, the header {len(self.columns)}"
                record = Record(line.number, (), problem)
            yield record

    def column(self, wanted: str, known: Sequence[str], parameter: str) -> int:
        """Index of a column: by its name, or by the first of the known ones; -1: has none.

        Raises:
            InvalidInput: there is no column of the wanted name.
        """
        folded = [name.casefold() for name in self.columns]
        if wanted and wanted.casefold() not in folded:
            raise InvalidInput(
                f"{self.path} has no column {wanted!r}.{nearest(wanted, self.columns)}",
                field=f"parameters[{parameter}]",
            )
        names = (wanted.casefold(),) if wanted else known
        return next((folded.index(name) for name in names if name in folded), -1)


def _cells(line: Line, delimiter: str) -> Record:
    if line.problem:
        return Record(line.number, (), line.problem)
    reader = csv.reader([line.text], delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        return Record(line.number, next(reader))
    except csv.Error as error:
        return Record(line.number, (), f"the line is not CSV: {error}")


def tables(files: Files, endings: tuple[str, ...] = ENDINGS) -> list[str]:
    """The files of cells at the root."""
    return [path for path in files.files() if path.casefold().endswith(endings)]
