"""Evaluations as JSON documents and CSV files."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from pellucid.comparisons import Comparison
from pellucid.evaluations import Evaluation, EvaluationReport, Example
from pellucid.types import Category

Document = dict[str, Any]

COLUMNS = (
    "index",
    "path",
    "annotated_id",
    "annotated",
    "annotated_confidence",
    "predicted_id",
    "predicted",
    "predicted_confidence",
    "rank",
    "correct",
    "score",
    "missed",
    "extra",
    "reason",
    "location",
)


def evaluation(found: Evaluation, report: EvaluationReport | None = None) -> Document:
    """An evaluation with its report."""
    document: Document = _plain(asdict(replace(found, report=report or found.report)))
    return {"name": found.name, "model": found.model} | document


def example(found: Example) -> Document:
    """A row."""
    document: Document = _plain(asdict(found))
    return document


def comparison(found: Comparison) -> Document:
    """A comparison."""
    flips = [_plain(asdict(each)) | {"change": each.change} for each in found.flips]
    document: Document = _plain(asdict(found))
    figures = ("speedup", "size_ratio", "map_correlation")
    return document | {"flips": flips} | {name: getattr(found, name) for name in figures}


def write_csv(path: Path, rows: Iterable[Example]) -> None:
    """Writes rows, one a line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(_line, rows))


def _line(row: Example) -> tuple[Any, ...]:
    correct = "" if row.correct is None else str(row.correct).lower()
    score = "" if row.score is None else repr(row.score)
    return (
        row.index,
        row.path,
        *_cells(row.annotated),
        *_cells(row.predicted),
        row.rank or "",
        correct,
        score,
        row.missed,
        row.extra,
        row.reason,
        row.location,
    )


def _cells(category: Category | None) -> tuple[Any, ...]:
    if category is None:
        return "", "", ""
    return category.class_id, category.label, repr(category.confidence)


def _plain(value: Any) -> Any:
    """Values that JSON has: times as texts, numbers that are none as null."""
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case datetime():
            return value.isoformat()
        case float() if not isfinite(value):
            return None
    return value
