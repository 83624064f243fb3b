"""Rows as the database has them."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store.schema import rows
from pellucid_server.types import Category

COLUMNS = tuple(column for column in rows.c if column.name != "evaluation_id")
TEXTS = ("path", "digest", "location", "predicted_label", "annotated_label", "reason", "detail")
PARTS = ("class", "label", "confidence")
"""Columns of a category, behind its side."""


def record_of(row: Row) -> dict[str, Any]:
    """The values of `COLUMNS`; NaN becomes NULL, which is all that SQLite has for it.

    Raises:
        InvalidInput: a text that no database keeps: half a character, or the character 0.
    """
    record = {
        "index": int(row.index),
        "path": row.path,
        "digest": row.digest,
        "location": row.location,
        **_category("predicted", row.predicted),
        **_category("annotated", row.annotated),
        "rank": int(row.rank),
        "correct": None if row.correct is None else bool(row.correct),
        "score": _number(row.score),
        "missed": int(row.missed),
        "extra": int(row.extra),
        "seconds": float(row.seconds),
        "reason": row.reason,
        "detail": json.dumps(row.detail, separators=(",", ":")) if row.detail else "{}",
    }
    for name in TEXTS:
        if not _storable(record[name]):
            raise InvalidInput(f"row {row.index}: {name} {record[name]!r} is no text", field=name)
    return record


def row_of(record: Sequence[Any]) -> Row:
    """From the values of `COLUMNS`."""
    values = dict(zip((column.name for column in COLUMNS), record, strict=True))
    predicted, annotated = _take(values, "predicted"), _take(values, "annotated")
    detail = json.loads(values.pop("detail"))
    return Row(**values, predicted=predicted, annotated=annotated, detail=detail)


def _category(side: str, category: Category | None) -> Mapping[str, Any]:
    parts: tuple[Any, ...] = (None, None, None)
    if category is not None:
        parts = (int(category.class_id), category.label, _number(category.confidence))
    return dict(zip((f"{side}_{part}" for part in PARTS), parts, strict=True))


def _take(values: dict[str, Any], side: str) -> Category | None:
    class_id, label, confidence = (values.pop(f"{side}_{part}") for part in PARTS)
    if class_id is None:
        return None
    return Category(class_id, label, math.nan if confidence is None else confidence)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _storable(text: str | None) -> bool:
    if text is None or text.isascii():
        return text is None or "\0" not in text
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False
