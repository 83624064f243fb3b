"""Precision, recall and F1 from counts, as scikit-learn with `zero_division=0`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pellucid_server.evaluate.report import Metric


@dataclass(frozen=True)
class Counts:
    """How often a class was right, predicted and annotated."""

    right: int = 0
    predicted: int = 0
    annotated: int = 0

    @property
    def precision(self) -> float:
        """Of the predictions, the share that is right."""
        return ratio(self.right, self.predicted)

    @property
    def recall(self) -> float:
        """Of the annotations, the share that was found."""
        return ratio(self.right, self.annotated)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return ratio(2 * self.right, self.predicted + self.annotated)

    @property
    def iou(self) -> float:
        """Intersection over union."""
        return ratio(self.right, self.predicted + self.annotated - self.right)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.right + other.right,
            self.predicted + other.predicted,
            self.annotated + other.annotated,
        )


KINDS = ("precision", "recall", "f1")


def ratio(part: float, whole: float) -> float:
    """0 of nothing is 0."""
    return part / whole if whole else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean; of nothing 0."""
    return ratio(sum(values), len(values))


def macro(classes: Sequence[Counts], suffix: str = "_macro") -> Iterable[Metric]:
    """The means over classes, each alike."""
    for kind in KINDS:
        yield Metric(f"{kind}{suffix}", mean([getattr(each, kind) for each in classes]))


def weighted(classes: Sequence[Counts], suffix: str = "_weighted") -> Iterable[Metric]:
    """The means over classes by their annotations."""
    support = sum(each.annotated for each in classes)
    for kind in KINDS:
        total = sum(getattr(each, kind) * each.annotated for each in classes)
        yield Metric(f"{kind}{suffix}", ratio(total, support))


def micro(classes: Iterable[Counts], suffix: str = "_micro") -> Iterable[Metric]:
    """Those of all classes taken together."""
    whole = sum(classes, Counts())
    for kind in KINDS:
        yield Metric(f"{kind}{suffix}", getattr(whole, kind))
