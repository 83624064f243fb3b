"""Classes of a whole image, and numbers: their scores are what the model says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.objectives.base import (
    Objective,
    Subject,
    Target,
    Wanted,
    class_index,
    name_of,
)
from pellucid_server.types import Array, Category, Outputs, Task

KINDS = ("class_id", "label")


@dataclass(frozen=True, eq=False)
class Classes(Objective):
    """Columns of what the model says of an image."""

    read: Callable[[Outputs], Array]
    """Batch x columns."""

    def scores(self, outputs: Outputs, count: int) -> Array:
        del count
        chosen: Array = self.read(outputs)[:, self._columns]
        return chosen

    @cached_property
    def _columns(self) -> NDArray[np.intp]:
        return np.array([each.category.class_id for each in self.subjects], np.intp)


def most_confident(
    confidences: Array, labels: Sequence[str], wanted: Wanted
) -> tuple[Subject, ...]:
    """Classes by falling confidence, or those that the caller names.

    Raises:
        NotFound: no such class.
        InvalidInput: a label names several, or `top_k` is more than there are.
    """
    order = np.argsort(-confidences, kind="stable")
    return _columns(Task.CLASSIFICATION, confidences, order, labels, wanted)


def in_order(values: Array, labels: Sequence[str], wanted: Wanted) -> tuple[Subject, ...]:
    """Numbers from the first on, or those that the caller names; errors as above."""
    return _columns(Task.REGRESSION, values, np.arange(len(values)), labels, wanted)


def _columns(
    task: Task, values: Array, order: Array, labels: Sequence[str], wanted: Wanted
) -> tuple[Subject, ...]:
    def subject(index: int) -> Subject:
        found = Category(index, labels[index] if labels else "", float(values[index]))
        if task is Task.REGRESSION:
            return Subject(found, f"{name_of(found)}: {found.confidence:.4g}")
        return Subject.confident(found)

    def first(count: int) -> list[Subject]:
        if count > len(values):
            raise InvalidInput(
                f"top_k must be in 1 to {len(values)}, the model's classes, not {count}",
                field="top_k",
            )
        return [subject(int(index)) for index in order[:count]]

    def find(target: Target, path: str) -> Subject:
        return subject(class_index(target, labels, len(values), path))

    return wanted.chosen(task, KINDS, first, find)
