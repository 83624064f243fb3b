"""Which rows of an evaluation, in which order."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial, reduce

import numpy as np

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.store.columns import Verdict, label_code
from pellucid_server.types import Array

Test = Callable[[Array], Array]


class ExampleOrder(StrEnum):
    """Orders of rows; equal ones as in the data set, and last those that lack the value."""

    DATASET = "dataset"
    CONFIDENCE = "confidence"
    RANK = "rank"
    SCORE = "score"


@dataclass(frozen=True)
class ExampleFilter:
    """Which rows; all conditions hold."""

    erroneous: bool = False
    annotated_label: str = ""
    predicted_label: str = ""
    min_confidence: float | None = None
    max_confidence: float | None = None
    """Of the prediction; both inclusive, and compared in single precision as in the protocol."""
    min_rank: int = 0
    bad_annotation: bool = False
    """Only these; they are left out otherwise."""

    def check(self) -> None:
        """Raises InvalidInput where a bound is no bound."""
        for name in ("min_confidence", "max_confidence"):
            if math.isnan(getattr(self, name) or 0):
                raise InvalidInput(f"{name} must be a number", field=name)
        if self.min_rank < 0:
            raise InvalidInput("min_rank must be 0 (any) or more", field="min_rank")

    @property
    def columns(self) -> frozenset[str]:
        """What it must be told."""
        return frozenset(name for name, _ in self._tests())

    def mask(self, columns: Mapping[str, Array]) -> Array:
        """Which rows of a block pass."""
        return reduce(np.logical_and, (test(columns[name]) for name, test in self._tests()))

    def _tests(self) -> Iterator[tuple[str, Test]]:
        bad = np.equal if self.bad_annotation else np.not_equal
        yield "verdict", partial(bad, Verdict.BAD_ANNOTATION)
        if self.erroneous:
            yield "verdict", partial(np.equal, Verdict.WRONG)
        if self.annotated_label:
            yield "annotated", partial(np.equal, np.uint64(label_code(self.annotated_label)))
        if self.predicted_label:
            yield "predicted", partial(np.equal, np.uint64(label_code(self.predicted_label)))
        if self.min_confidence is not None:
            yield "confidence", partial(np.less_equal, _single(self.min_confidence))
        if self.max_confidence is not None:
            yield "confidence", partial(np.greater_equal, _single(self.max_confidence))
        if self.min_rank:
            yield "rank", partial(np.less_equal, self.min_rank)


@dataclass(frozen=True)
class Query:
    """What a page token belongs to."""

    name: str
    wanted: ExampleFilter
    order: ExampleOrder
    descending: bool

    @property
    def by_position(self) -> bool:
        """Whether rows come as they are stored, or the other way round."""
        return self.order is ExampleOrder.DATASET

    @property
    def columns(self) -> frozenset[str]:
        """What must be read."""
        return self.wanted.columns | (set() if self.by_position else {self.order.value})

    def keys(self, columns: Mapping[str, Array], kept: Array, first: int) -> Array:
        """Numbers of the kept rows that sort as the order says; infinite: the value is missing.

        `first` is the position of the block's first row.
        """
        values = kept + first if self.by_position else columns[self.order][kept]
        keys = (-values if self.descending else values).astype(float)
        keys[np.isnan(keys)] = np.inf
        return keys


def _single(value: float) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(value)
