"""Images whose prediction changed."""

import heapq
from dataclasses import dataclass, field
from enum import StrEnum

from pellucid_server.evaluate.report import Row
from pellucid_server.types import Category


class Change(StrEnum):
    """What became of a prediction."""

    BECAME_WRONG = "became_wrong"
    BECAME_RIGHT = "became_right"
    CHANGED = "changed"
    """To another class, as right or wrong as before, or nobody knows which is right."""


@dataclass(frozen=True)
class Flip:
    """An image whose prediction changed."""

    index: int
    path: str
    change: Change
    baseline: Category | None
    """None: nothing was predicted."""
    candidate: Category | None
    annotated: Category | None = None


@dataclass
class Flips:
    """Counts changes, and keeps the most confident ones, up to a number."""

    most: int
    became_wrong: int = 0
    became_right: int = 0
    disagreements: int = 0
    _heap: list[tuple[float, int, Flip]] = field(default_factory=list)

    def add(self, baseline: Row, candidate: Row) -> None:
        """Counts an image."""
        differs = not same_class(baseline.predicted, candidate.predicted)
        self.disagreements += differs
        change = _change(baseline, candidate, differs=differs)
        if change is None:
            return
        self.became_wrong += change is Change.BECAME_WRONG
        self.became_right += change is Change.BECAME_RIGHT
        flip = Flip(
            baseline.index,
            baseline.path,
            change,
            baseline.predicted,
            candidate.predicted,
            baseline.annotated,
        )
        # Of equals the first in the data set stays; indices differ, so flips are not compared.
        heapq.heappush(self._heap, (_confidence(flip), -flip.index, flip))
        if len(self._heap) > self.most:
            heapq.heappop(self._heap)

    def kept(self) -> tuple[Flip, ...]:
        """By the candidate's confidence, the largest first; the baseline's where it has none."""
        return tuple(flip for *_, flip in sorted(self._heap, reverse=True))


def same_class(one: Category | None, other: Category | None) -> bool:
    """Whether two categories are of one class: by their names, or by index without names."""
    if one is None or other is None:
        return one is other
    if one.label and other.label:
        return one.label == other.label
    return one.class_id == other.class_id


def _change(baseline: Row, candidate: Row, *, differs: bool) -> Change | None:
    if baseline.correct and candidate.correct is False:
        return Change.BECAME_WRONG
    if baseline.correct is False and candidate.correct:
        return Change.BECAME_RIGHT
    return Change.CHANGED if differs else None


def _confidence(flip: Flip) -> float:
    shown = flip.candidate or flip.baseline
    return shown.confidence if shown else 0.0
