"""How the confidence in what the baseline predicts changes."""

import base64
from typing import Any

import numpy as np

from pellucid_server.evaluate.comparison.bootstrap import Resampled, Weights, interval
from pellucid_server.evaluate.comparison.deltas import Delta
from pellucid_server.evaluate.comparison.flips import same_class
from pellucid_server.evaluate.comparison.statistics import mean
from pellucid_server.evaluate.metrics.sums import Total
from pellucid_server.evaluate.report import Row
from pellucid_server.types import Category

SINGLE = np.dtype("<f4")


def confidence_in(row: Row, category: Category) -> float | None:
    """The confidence that a row tells in a class; None where it does not tell.

    Rows tell it of the class predicted and of the one annotated; `detail` may have `top`, the
    best classes with their confidences, or all `confidences`. A class below the `top` ones
    counts as 0, which is less than the last of them off.
    """
    for known in (row.predicted, row.annotated):
        if known is not None and same_class(known, category):
            return known.confidence
    detail: Any = row.detail
    if "confidences" in detail:
        values = np.frombuffer(base64.b64decode(detail["confidences"]), SINGLE)
        return float(values[category.class_id]) if category.class_id < len(values) else None
    if "top" in detail:
        return next(
            (each for class_id, each in detail["top"] if class_id == category.class_id), 0.0
        )
    return None


class Shift:
    """The mean confidence in the class that the baseline predicts, of both."""

    def __init__(self, weights: Weights) -> None:
        self._resampled = Resampled(weights)
        self._before, self._after = Total(), Total()

    @property
    def images(self) -> int:
        """Images that tell."""
        return self._before.count

    def add(self, baseline: Row, candidate: Row) -> None:
        """Counts an image."""
        if baseline.predicted is None:
            return
        after = confidence_in(candidate, baseline.predicted)
        if after is None:
            return
        before = baseline.predicted.confidence
        self._before.add(before)
        self._after.add(after)
        self._resampled.add(baseline.index, (("shift", after - before), ("images", 1)))

    def delta(self) -> Delta | None:
        """Both means and the interval of their difference; None: no image tells."""
        if not self.images:
            return None
        sums = self._resampled.sums
        ends = interval(mean(sums["shift"], sums["images"]))
        return Delta("confidence", self._before.mean, self._after.mean, *ends)
