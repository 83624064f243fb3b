"""Parquet, by pyarrow, which is optional."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pellucid_server.errors import InvalidInput, NotServed
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.formats.common.columns import TableRow

PARQUET = ".parquet"
BATCH = 1024
"""Rows that are held at once."""
LARGEST = 2**30
"""Bytes of a row group, unpacked: as much is held while its rows are read."""
METADATA = 2**24
"""Bytes of a text, and entries of a list, in the file's own description."""


class ParquetColumns:
    """A Parquet file; a column is of numbers where its type is.

    Raises:
        NotServed: pyarrow is not there.
        InvalidInput: it is not Parquet, or a row group is too large.
    """

    def __init__(self, files: Files, path: str) -> None:
        self.path = path
        self._files = files
        self._arrow, self._parquet = _libraries()
        with self._open() as file:
            schema = file.schema_arrow
            groups = (file.metadata.row_group(each) for each in range(file.num_row_groups))
            largest = max((each.total_byte_size for each in groups), default=0)
        if largest > LARGEST:
            raise self._wrong(f"a row group of {largest} bytes; the most is {LARGEST}")
        self.names = tuple(schema.names)
        self._numeric = [each.name for each in schema if self._is_numeric(each.type)]

    def numeric(self) -> list[str]:
        return self._numeric

    def rows(self, columns: Sequence[str]) -> Iterator[TableRow]:
        with self._open() as file:
            line = 0
            names = list(dict.fromkeys(columns))
            for batch in file.iter_batches(BATCH, columns=names, use_threads=False):
                cells = [self._floats(batch.column(each)) for each in columns]
                for values in zip(*cells, strict=True):
                    line += 1
                    yield TableRow(line, columns, values)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with self._files.open(self.path) as stream:
            try:
                with self._parquet.ParquetFile(
                    stream,
                    pre_buffer=False,
                    thrift_string_size_limit=METADATA,
                    thrift_container_size_limit=METADATA,
                ) as file:
                    yield file
            except (self._arrow.ArrowException, OSError, ValueError) as error:
                raise self._wrong(str(error)) from error

    def _is_numeric(self, kind: Any) -> bool:
        types = self._arrow.types
        return any(
            check(kind)
            for check in (
                types.is_integer,
                types.is_floating,
                types.is_decimal,
                types.is_boolean,
            )
        )

    def _floats(self, column: Any) -> list[float | None]:
        found: list[float | None] = column.cast(self._arrow.float64(), safe=False).to_pylist()
        return found

    def _wrong(self, problem: str) -> InvalidInput:
        return InvalidInput(f"{self.path} cannot be read as Parquet: {problem[:300]}", field=FIELD)


def _libraries() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise NotServed(
            "this server cannot read Parquet: install it with pip install 'pellucid[tables]'",
            field=FIELD,
        ) from None
