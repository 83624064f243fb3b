from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pellucid_server.evaluate.annotations import Annotation, Sample
from pellucid_server.evaluate.evaluator import Evaluator, LoadPicture, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.evaluate.report import Report, Row
from pellucid_server.evaluate.row_json import (
    report_from_json,
    report_to_json,
    row_from_json,
    row_to_json,
)
from pellucid_server.types import Image, Size, Task

Judged = tuple[list[Row], Report]
Judge = Callable[..., Judged]
IMAGE = Size(640, 640)


def nothing(path: str) -> Image:
    raise AssertionError(f"{path} was read")


def pictures(of: dict[str, Image]) -> LoadPicture:
    return of.__getitem__


def rows_of(
    judge: Evaluator,
    pairs: Sequence[tuple[Annotation | None, Any]],
    load: LoadPicture,
    size: Size | None,
) -> list[Row]:
    return [
        judge.row(index, Sample(f"{index}.png", annotation), answer, load, size)
        for index, (annotation, answer) in enumerate(pairs)
    ]


def replayed(task: Task, options: Options, rows: Sequence[Row]) -> Report:
    """By an evaluator that starts anew in the middle, from what was stored."""
    first, second = evaluator(task, options), evaluator(task, options)
    middle = len(rows) // 2
    for row in rows[:middle]:
        first.add(row)
    stored = [row_to_json(row) for row in rows]
    for text in stored[:middle]:
        second.add(row_from_json(text))
    for row in rows[middle:]:
        second.add(row)
    return second.report()


@pytest.fixture
def judge() -> Judge:
    """Judges answers, and checks what every evaluator promises."""

    def run(
        task: Task,
        pairs: Sequence[tuple[Annotation | None, Any]],
        options: Options | None = None,
        load: LoadPicture = nothing,
        size: Size | None = IMAGE,
    ) -> Judged:
        options = options or Options(())
        judge = evaluator(task, options)
        rows = rows_of(judge, pairs, load, size)
        for row in rows:
            assert row_from_json(row_to_json(row)) == row
            judge.add(row)
        report = judge.report()
        assert replayed(task, options, rows) == report
        assert report_from_json(report_to_json(report)) == report
        assert judge.report() == report
        names = {metric.name: metric.value for metric in report.metrics}
        assert {each.name: each.value for each in judge.running()}.items() <= names.items()
        return rows, report

    return run


@pytest.fixture
def figures() -> Callable[[Report], dict[str, float]]:
    """The metrics of a report by name."""
    return lambda report: {each.name: each.value for each in report.metrics}
