from collections.abc import Iterator, Sequence

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Annotation, Flaw, Labels, Sample, Values
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.base import KINDS, Format, Parameters, register
from pellucid_server.evaluate.formats.common.delimited import Delimited, Delimiter, Record, tables
from pellucid_server.evaluate.formats.common.lines import first_list
from pellucid_server.evaluate.formats.common.listing import choose_file, require_file
from pellucid_server.evaluate.formats.common.numbers import number
from pellucid_server.evaluate.formats.common.places import UNUSABLE, Places
from pellucid_server.evaluate.formats.common.rows import BadRow, located
from pellucid_server.types import Task

PATHS = ("path", "image", "file", "filename", "file_name", "image_path", "filepath")
LABELS = ("label", "labels", "class", "classes", "target", "category")
VALUES = ("value", "values", "target", "label")
CLASSES = ("classes.txt", "labels.txt")
SEVERAL = "|"
HEADERS = 20
"""Files whose headers are looked at."""


class CsvParameters(Parameters):
    """Which columns of which file."""

    file: str = ""
    """Of several; by default the first of val, test and train."""
    path_column: str = ""
    label_column: str = ""
    delimiter: Delimiter = ""


@register("csv")
class CsvList(Format[CsvParameters]):
    """Paths of images with names or indices of classes, or with numbers."""

    description = "a .csv with columns path and label (or value), found by its header"
    tasks = (Task.CLASSIFICATION, Task.REGRESSION)
    parameters_type = CsvParameters

    def detect(self, files: Files) -> bool:
        return bool(lists_of_images(files))

    def classes(self, files: Files, task: Task, parameters: CsvParameters) -> tuple[str, ...]:
        del parameters
        return first_list(files, CLASSES) if KINDS[task] is Labels else ()

    def rows(self, files: Files, task: Task, parameters: CsvParameters) -> Iterator[Sample | Flaw]:
        table = Delimited(files, self._path(files, parameters), parameters.delimiter)
        path = _column(table, parameters.path_column, PATHS, "path_column")
        label = _column(
            table,
            parameters.label_column,
            VALUES if KINDS[task] is Values else LABELS,
            "label_column",
        )
        classes = self.classes(files, task, parameters)
        places = Places(files, (table.path.rpartition("/")[0], "", "images", "imgs"))
        for record in table:
            location = located(table.path, record.line)
            name = ""
            try:
                name = _cell(record, path)
                annotation = _annotation(_cell(record, label), task, classes)
                yield Sample(places.find(name), annotation, location)
            except BadRow as error:
                yield Flaw(name, location, str(error))

    def _path(self, files: Files, parameters: CsvParameters) -> str:
        if parameters.file:
            return require_file(files, parameters.file, "file")
        found = choose_file(lists_of_images(files) or tables(files), "file")
        if found is None:
            raise self.unfit(files, "has no such file")
        return found


def lists_of_images(files: Files) -> list[str]:
    """The files at the root whose header has a path and a label."""
    return [path for path in tables(files)[:HEADERS] if _is_list(files, path)]


def _is_list(files: Files, path: str) -> bool:
    try:
        table = Delimited(files, path)
    except UNUSABLE:
        return False
    return min(table.column("", known, "") for known in (PATHS, (*LABELS, *VALUES))) >= 0


def _column(table: Delimited, wanted: str, known: Sequence[str], parameter: str) -> int:
    found = table.column(wanted, known, parameter)
    if found >= 0:
        return found
    raise InvalidInput(
        f"{table.path} has no column called {', '.join(known[:4])} or the like: name one of "
        f"{', '.join(table.columns)[:300]}",
        field=f"parameters[{parameter}]",
    )


def _cell(record: Record, column: int) -> str:
    if record.problem:
        raise BadRow(record.problem)
    text = record.cells[column].strip()
    if not text:
        raise BadRow("a cell is empty: each row needs a path and a label")
    return text


def _annotation(text: str, task: Task, classes: Sequence[str]) -> Annotation:
    parts = [part.strip() for part in text.split(SEVERAL)]
    if KINDS[task] is Values:
        return Values(tuple(number(part) for part in parts))
    return Labels(tuple(dict.fromkeys(_label(part, classes) for part in parts if part)))


def _label(text: str, classes: Sequence[str]) -> str:
    """A class by its name, or else by its index; all names will do where none are listed."""
    if not classes or text in classes:
        return text
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(classes):
        return classes[int(text)]
    raise BadRow(f"there is no class {text[:80]!r} among the {len(classes)} of the set")
