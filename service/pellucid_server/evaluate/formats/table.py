from collections.abc import Iterator

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Sample, Values
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.columns import Columns, DelimitedColumns
from pellucid_server.evaluate.formats.common.delimited import ENDINGS, Delimiter, tables
from pellucid_server.evaluate.formats.common.listing import choose_file, require_file
from pellucid_server.evaluate.formats.common.parquet import PARQUET, ParquetColumns
from pellucid_server.evaluate.formats.common.rows import BadRow, located
from pellucid_server.evaluate.formats.csv_list import lists_of_images
from pellucid_server.nearest import nearest
from pellucid_server.types import Task


class TableParameters(Parameters):
    """Which columns of which file; several by commas."""

    file: str = ""
    """Of several; by default the first of val, test and train."""
    target: str = ""
    """Columns that the model should give; by default the last one of numbers."""
    features: str = ""
    """Columns that go into the model; by default all others of numbers, in their order."""
    delimiter: Delimiter = ""


@register("table")
class Table(Format[TableParameters]):
    """Rows of numbers, of CSV or Parquet."""

    description = "a .csv with a header, or a .parquet, of columns of numbers; the last: the target"
    tasks = (Task.REGRESSION,)
    parameters_type = TableParameters

    def detect(self, files: Files) -> bool:
        found = tables(files, (*ENDINGS, PARQUET))
        return bool(found) and not lists_of_images(files)

    def rows(
        self, files: Files, task: Task, parameters: TableParameters
    ) -> Iterator[Sample | Flaw]:
        del task
        path = self._path(files, parameters)
        table: Columns
        if path.casefold().endswith(PARQUET):
            table = ParquetColumns(files, path)
        else:
            table = DelimitedColumns(files, path, parameters.delimiter)
        targets = _chosen(table, parameters.target, "target") or table.numeric()[-1:]
        features = _chosen(table, parameters.features, "features") or [
            each for each in table.numeric() if each not in targets
        ]
        if not targets or not features:
            raise InvalidInput(
                f"{path} needs at least two columns of numbers; it has {len(table.numeric())}",
                field="parameters[target]",
            )
        yield from _samples(table, features, targets)

    def _path(self, files: Files, parameters: TableParameters) -> str:
        if parameters.file:
            return require_file(files, parameters.file, "file")
        found = choose_file(tables(files, (*ENDINGS, PARQUET)), "file")
        if found is None:
            raise self.unfit(files, "has no table")
        return found


def _samples(table: Columns, features: list[str], targets: list[str]) -> Iterator[Sample | Flaw]:
    for row in table.rows([*features, *targets]):
        location = located(table.path, row.line)
        try:
            values = row.values()
        except BadRow as error:
            yield Flaw(location, location, str(error))
            continue
        split = len(features)
        yield Sample(location, Values(values[split:]), location, features=values[:split])


def _chosen(table: Columns, wanted: str, parameter: str) -> list[str]:
    """Columns by name, whatever their case.

    Raises:
        InvalidInput: there is no such column, or it is not one of numbers.
    """
    known = {name.casefold(): name for name in reversed(table.names)}
    chosen = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in chosen:
        if name.casefold() not in known:
            raise InvalidInput(
                f"{table.path} has no column {name!r}.{nearest(name, table.names)}",
                field=f"parameters[{parameter}]",
            )
    columns = [known[name.casefold()] for name in chosen]
    for name in columns:
        if name not in table.numeric():
            raise InvalidInput(
                f"column {name!r} of {table.path} is not one of numbers: those are "
                f"{', '.join(table.numeric())[:300] or '(none)'}",
                field=f"parameters[{parameter}]",
            )
    return columns
