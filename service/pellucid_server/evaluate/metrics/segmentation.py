"""Reports on classes of pixels."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.metrics.confusion import ConfusionMatrix
from pellucid_server.evaluate.metrics.counts import Counts, mean, ratio
from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.report import ClassReport, Metric, Report
from pellucid_server.types import Array, Category

METRICS = (
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "dice",
)
DENSE = 1024
"""Classes up to which counting every pair is faster than sorting pixels."""
Triple = tuple[int, int, int]
"""Annotated class, predicted class, pixels."""


def compare(annotated: NDArray[np.int64], predicted: Array) -> list[Triple]:
    """How often each pair of classes occurred, for two lists of pixels."""
    width = int(max(annotated.max(initial=0), predicted.max(initial=0))) + 1
    pairs = annotated * width + predicted
    if width <= DENSE:
        counts = np.bincount(pairs, minlength=width * width)
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(pairs, return_counts=True)
    rows, columns = np.divmod(found, width)
    return list(zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True))


def figures(classes: Sequence[Counts]) -> Iterator[Metric]:
    """Over classes that are annotated or predicted; mean accuracy over those annotated.

    Long et al. 2015, https://arxiv.org/abs/1411.4038, section 5.
    """
    pixels = sum(each.annotated for each in classes)
    weighted = math.fsum(each.iou * each.annotated for each in classes)
    yield Metric("mean_iou", mean([each.iou for each in classes]))
    yield Metric("pixel_accuracy", ratio(sum(each.right for each in classes), pixels))
    yield Metric("mean_accuracy", mean([each.recall for each in classes if each.annotated]))
    yield Metric("frequency_weighted_iou", ratio(weighted, pixels))
    yield Metric("dice", mean([each.f1 for each in classes]))


@dataclass
class PixelTally:
    """Pixels of all images; memory is bounded by the square of the classes."""

    labels: Sequence[str]
    _confusion: ConfusionMatrix = field(default_factory=ConfusionMatrix)
    _scores: Histogram = field(default_factory=Histogram)

    def add(self, triples: Sequence[Triple], score: float) -> None:
        """Counts an image."""
        for annotated, predicted, count in triples:
            self._confusion.add(annotated, predicted, count)
        self._scores.add(score)

    def running(self) -> Iterator[Metric]:
        """All figures."""
        classes = list(self._confusion.classes().values())
        if classes:
            yield from figures(classes)

    def report(self) -> Report:
        """All figures, and the histogram of images' mean IoU."""
        curves = (self._scores.curve("scores", ""),) if self._scores.counts.any() else ()
        classes = tuple(self._classes(self._confusion.classes()))
        return Report(tuple(self.running()), classes, self._confusion.entries(), curves)

    def _classes(self, counts: Mapping[int, Counts]) -> Iterator[ClassReport]:
        for class_id, each in counts.items():
            label = self.labels[class_id] if class_id < len(self.labels) else ""
            yield ClassReport(
                Category(class_id, label, 0.0),
                each.precision,
                each.recall,
                each.f1,
                each.annotated,
                (Metric("iou", each.iou), Metric("predicted_pixels", each.predicted)),
            )
