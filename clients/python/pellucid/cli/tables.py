"""Results as tables for the terminal; whatever a server says is printed as it is, not as markup."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pellucid.cli.console import printable
from pellucid.results import (
    AnyResult,
    ClassificationResult,
    DetectionResult,
    ImageResult,
    InstanceSegmentationResult,
    RawResult,
    RegressionResult,
    SemanticSegmentationResult,
)
from pellucid.types import Box

_BAR = 20


NUMBERS = frozenset({"confidence", "share", "pixels", "mean confidence", "evaluations", "seconds"})
"""Columns to align on the right."""


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of texts."""
    drawn = Table(box=SIMPLE_HEAD, title=Text(printable(title)), title_justify="left")
    for name in head:
        number = name in NUMBERS
        drawn.add_column(
            name, justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    return drawn


def facts(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """Names and values, those without a value left out."""
    drawn = table(title, ("name", "value"), [row for row in rows if row[1]])
    drawn.show_header = False
    return drawn


def prediction(title: str, result: AnyResult) -> Table:
    """What the model says of an image."""
    match result:
        case ClassificationResult():
            return _classes(title, result)
        case DetectionResult():
            return _objects(title, result)
        case InstanceSegmentationResult():
            return _instances(title, result)
        case SemanticSegmentationResult():
            return _areas(title, result)
        case ImageResult():
            row = (f"{result.size.width} x {result.size.height}", result.media_type)
            head, rows = ("size", "format"), [row]
        case RegressionResult():
            head = ("output", "value")
            rows = [(str(index), f"{each:.6g}") for index, each in enumerate(result.values)]
        case RawResult():
            return _outputs(title, result)
    return table(title, head, rows)


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{value:.1%}"


def _classes(title: str, result: ClassificationResult) -> Table:
    rows = [
        (each.name, percent(each.confidence), "█" * round(each.confidence * _BAR))
        for each in result.categories
    ]
    return table(title, ("class", "confidence", ""), rows)


def _objects(title: str, result: DetectionResult) -> Table:
    rows = [(each.label, percent(each.confidence), _edges(each.box)) for each in result.detections]
    return table(_counted(title, rows), ("class", "confidence", "box"), rows)


def _instances(title: str, result: InstanceSegmentationResult) -> Table:
    rows = [
        (each.label, percent(each.confidence), f"{each.pixels:,}", _edges(each.box))
        for each in result.instances
    ]
    return table(_counted(title, rows), ("class", "confidence", "pixels", "box"), rows)


def _outputs(title: str, result: RawResult) -> Table:
    rows = [
        (name, str(array.dtype), " x ".join(map(str, array.shape)))
        for name, array in result.outputs.items()
    ]
    return table(title, ("output", "datatype", "shape"), rows)


def _areas(title: str, result: SemanticSegmentationResult) -> Table:
    rows = [
        (each.label, percent(each.share), f"{each.pixels:,}", percent(each.category.confidence))
        for each in result.areas
    ]
    return table(title, ("class", "share", "pixels", "mean confidence"), rows)


def _edges(box: Box) -> str:
    x_min, y_min, x_max, y_max = (f"{edge:.0f}" for edge in box)
    return f"{x_min}, {y_min} to {x_max}, {y_max}"


def _counted(title: str, rows: Sequence[object]) -> str:
    return f"{title}: {len(rows) or 'no'} object{'' if len(rows) == 1 else 's'}"
