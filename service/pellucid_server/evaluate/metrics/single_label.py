"""Reports on images of one class each, as scikit-learn has their figures."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pellucid_server.evaluate.metrics.calibration import Calibration
from pellucid_server.evaluate.metrics.confusion import ConfusionMatrix
from pellucid_server.evaluate.metrics.counts import KINDS, Counts, macro, ratio, weighted
from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.metrics.sums import Total
from pellucid_server.evaluate.report import ClassReport, Curve, Metric, Report
from pellucid_server.types import Category

METRICS = (
    "top_1",
    "top_5",
    *(f"{kind}_{average}" for average in ("macro", "weighted") for kind in KINDS),
    "log_loss",
    "ece",
    "mean_rank",
)
UNKNOWN = "mean_confidence"
"""The only figure of images that are not annotated."""
TOP = 5
LEAST = float(np.finfo(np.float64).eps)
"""scikit-learn's `log_loss` takes no probability below this, nor above 1 less this."""
FINE = 100
"""Bins of confidence of precision-recall curves."""
CURVES = 20
"""Classes that get a curve: those annotated most."""


@dataclass
class SingleLabelTally:
    """Images of one class each; memory is bounded by the square of the classes."""

    labels: Sequence[str]
    bins: int = 15
    _top: Counter[int] = field(default_factory=Counter)
    _ranks: Total = field(default_factory=Total)
    _loss: Total = field(default_factory=Total)
    _confusion: ConfusionMatrix = field(default_factory=ConfusionMatrix)
    _calibration: Calibration = field(init=False)
    _confidence: dict[int, Total] = field(default_factory=lambda: defaultdict(Total))
    _scores: Mapping[str, Histogram] = field(
        default_factory=lambda: {label: Histogram() for label in ("correct", "wrong", "")}
    )
    _fine: dict[tuple[int, bool], Histogram] = field(
        default_factory=lambda: defaultdict(lambda: Histogram(FINE))
    )

    def __post_init__(self) -> None:
        self._calibration = Calibration(self.bins)

    def add(self, predicted: Category, annotated: Category, rank: int) -> None:
        """Counts an image; `annotated` has the model's confidence in it."""
        correct = rank == 1
        self._top.update(most for most in (1, TOP) if rank <= most)
        self._ranks.add(rank)
        self._loss.add(-math.log(min(max(annotated.confidence, LEAST), 1 - LEAST)))
        self._confusion.add(annotated.class_id, predicted.class_id)
        self._calibration.add(predicted.confidence, correct=correct)
        self._confidence[predicted.class_id].add(predicted.confidence)
        self._scores["correct" if correct else "wrong"].add(predicted.confidence)
        self._fine[predicted.class_id, correct].add(predicted.confidence)

    def add_unknown(self, predicted: Category) -> None:
        """Counts an image that is not annotated."""
        self._confidence[predicted.class_id].add(predicted.confidence)
        self._scores[""].add(predicted.confidence)

    def running(self) -> Iterator[Metric]:
        """Those that cost next to nothing."""
        if not self._ranks.count:
            yield from self._unknown()
            return
        for most in (1, TOP):
            yield Metric(f"top_{most}", self._top[most] / self._ranks.count)
        yield Metric("log_loss", self._loss.mean)
        yield Metric("ece", self._calibration.error)
        yield Metric("mean_rank", self._ranks.mean)

    def report(self) -> Report:
        """All figures and curves; of images that are not annotated, counts and histogram."""
        counts = self._confusion.classes()
        return Report(
            tuple(self._metrics(list(counts.values()))),
            tuple(self._classes(counts)),
            self._confusion.entries(),
            tuple(self._curves(counts)),
        )

    def _metrics(self, counts: Sequence[Counts]) -> Iterator[Metric]:
        yield from self.running()
        if counts:
            yield from macro(counts)
            yield from weighted(counts)

    def _unknown(self) -> Iterator[Metric]:
        count = sum(each.count for each in self._confidence.values())
        if count:
            total = math.fsum(each.value for each in self._confidence.values())
            yield Metric(UNKNOWN, total / count)

    def _classes(self, counts: Mapping[int, Counts]) -> Iterator[ClassReport]:
        for class_id in sorted(counts.keys() | self._confidence.keys()):
            each, confidence = counts.get(class_id, Counts()), self._confidence.get(class_id)
            yield ClassReport(
                Category(class_id, self._name(class_id), confidence.mean if confidence else 0.0),
                each.precision,
                each.recall,
                each.f1,
                each.annotated,
                (Metric("predictions", confidence.count if confidence else 0),),
            )

    def _curves(self, counts: Mapping[int, Counts]) -> Iterator[Curve]:
        if self._ranks.count:
            yield self._calibration.curve()
        for label, histogram in self._scores.items():
            if histogram.counts.any():
                yield histogram.curve("scores", label)
        annotated = [each for each in counts if counts[each].annotated]
        for class_id in sorted(annotated, key=lambda each: -counts[each].annotated)[:CURVES]:
            yield self._precision_recall(class_id, counts[class_id].annotated)

    def _precision_recall(self, class_id: int, annotated: int) -> Curve:
        """Of predictions of the class from each of `FINE` confidences on, the highest first."""
        right, wrong = (
            self._fine[class_id, correct].counts[::-1].cumsum().tolist()
            if (class_id, correct) in self._fine
            else [0] * FINE
            for correct in (True, False)
        )
        points = [
            (hit / annotated, ratio(hit, hit + miss), hit + miss)
            for hit, miss in zip(right, wrong, strict=True)
            if hit + miss
        ]
        x, y, predicted = zip(*points, strict=True) if points else ((), (), ())
        return Curve("precision_recall", self._name(class_id) or str(class_id), x, y, predicted)

    def _name(self, class_id: int) -> str:
        return self.labels[class_id] if class_id < len(self.labels) else ""
