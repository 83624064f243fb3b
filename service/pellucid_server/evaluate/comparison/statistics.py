"""Metrics as functions of sums over images, which is what the bootstrap resamples.

Each class has the sums of a task and what its metrics make of them, named as in its report.
Metrics that sums cannot give have no interval: average precision, of objects as of classes,
needs every prediction by its confidence.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate import parameters
from pellucid_server.evaluate.comparison.bootstrap import Increments, Sums, Values
from pellucid_server.evaluate.evaluator import Options
from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.metrics.single_label import LEAST, TOP, UNKNOWN
from pellucid_server.evaluate.report import NOTHING, Row
from pellucid_server.types import Task

Named = Iterator[tuple[str, Values]]
Stacked = NDArray[np.float64]
"""Classes x resamples."""


def ratio(part: Stacked, whole: Stacked) -> Stacked:
    """Of nothing 0, as in reports."""
    quotient: Stacked = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole != 0)
    return quotient


def mean(part: Values, count: Values) -> Values:
    """Of nothing NaN: the resample says nothing."""
    nothing = np.full(np.shape(count), np.nan)
    quotient: Values = np.divide(part, count, out=nothing, where=count != 0)
    return quotient


class Statistic(ABC):
    """The sums of a task, and its metrics of them."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def increments(self, row: Row) -> Increments:
        """What an image adds to the sums."""

    @abstractmethod
    def metrics(self, sums: Sums) -> Named:
        """The metrics in every resample."""


class ClassCounts:
    """How often classes were right, predicted and annotated, in every resample."""

    def __init__(self, sums: Sums) -> None:
        classes = sorted(
            {key[1] for key in sums if isinstance(key, tuple) and key[0] in {"said", "told"}}
        )
        self.right, self.predicted, self.annotated = (
            np.stack([sums[kind, each] for each in classes]) if classes else np.zeros((0, 1))
            for kind in ("right", "said", "told")
        )

    @staticmethod
    def increments(told: int, said: int, count: float = 1) -> Increments:
        """Of a pair of an annotated and a predicted class."""
        if told != NOTHING:
            yield ("told", told), count
        if said != NOTHING:
            yield ("said", said), count
        if told == said != NOTHING:
            yield ("right", told), count

    @property
    def present(self) -> Stacked:
        """1 for the classes that a resample has at all."""
        return (self.predicted + self.annotated > 0).astype(np.float64)

    @property
    def kinds(self) -> Mapping[str, Stacked]:
        """Precision, recall and F1 of every class."""
        return {
            "precision": ratio(self.right, self.predicted),
            "recall": ratio(self.right, self.annotated),
            "f1": ratio(2 * self.right, self.predicted + self.annotated),
        }

    def macro(self, classes: Values | float) -> Named:
        """Means over so many classes."""
        for kind, values in self.kinds.items():
            yield f"{kind}_macro", ratio(values.sum(0), np.broadcast_to(classes, values[0].shape))

    def weighted(self) -> Named:
        """Means over classes by their annotations."""
        for kind, values in self.kinds.items():
            yield (
                f"{kind}_weighted",
                ratio((values * self.annotated).sum(0), self.annotated.sum(0)),
            )

    def micro(self, suffix: str) -> Named:
        """Of all classes taken together."""
        right, predicted, annotated = (
            each.sum(0) for each in (self.right, self.predicted, self.annotated)
        )
        yield f"precision{suffix}", ratio(right, predicted)
        yield f"recall{suffix}", ratio(right, annotated)
        yield f"f1{suffix}", ratio(2 * right, predicted + annotated)


class SingleLabel(Statistic):
    """Images of one class each."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._bins = Histogram(parameters.whole(options, "bins", 15, 1, 1000))

    def increments(self, row: Row) -> Increments:
        if row.predicted is None:
            return
        if row.annotated is None:
            yield "unknown", 1
            yield "confidence", row.predicted.confidence
            return
        correct = row.rank == 1
        place = self._bins.place(row.predicted.confidence)
        yield "images", 1
        yield "top_1", correct
        yield f"top_{TOP}", row.rank <= TOP
        yield "log_loss", -math.log(min(max(row.annotated.confidence, LEAST), 1 - LEAST))
        yield "mean_rank", row.rank
        yield ("gap", place), correct - row.predicted.confidence
        yield from ClassCounts.increments(row.annotated.class_id, row.predicted.class_id)

    def metrics(self, sums: Sums) -> Named:
        if "images" not in sums:
            yield UNKNOWN, mean(sums["confidence"], sums["unknown"])
            return
        for name in ("top_1", f"top_{TOP}", "log_loss", "mean_rank"):
            yield name, mean(sums[name], sums["images"])
        gaps = [abs(sums["gap", place]) for place in range(self._bins.bins)]
        yield "ece", mean(np.sum(gaps, axis=0), sums["images"])
        counts = ClassCounts(sums)
        yield from counts.macro(counts.present.sum(0))
        yield from counts.weighted()


class MultiLabel(Statistic):
    """Images of any number of classes."""

    _classes = 0

    def increments(self, row: Row) -> Increments:
        detail: Any = row.detail
        if "annotated" not in detail:
            return
        self._classes = max(self._classes, len(detail["confidences"]) // 4 * 3 // 4)
        predicted, annotated = set(detail["predicted"]), set(detail["annotated"])
        yield "images", 1
        yield "exact_match", predicted == annotated
        for each in annotated | predicted:
            yield from ClassCounts.increments(
                each if each in annotated else NOTHING, each if each in predicted else NOTHING
            )

    def metrics(self, sums: Sums) -> Named:
        if "images" in sums:
            yield "exact_match", mean(sums["exact_match"], sums["images"])
            counts = ClassCounts(sums)
            yield from counts.macro(self._classes)
            yield from counts.micro("_micro")


class Objects(Statistic):
    """Objects at the threshold."""

    def increments(self, row: Row) -> Increments:
        detail: Any = row.detail
        pairs = detail.get("confusion", ())
        if "truth" in detail:
            yield "images", 1
        for told, said in zip(pairs[::2], pairs[1::2], strict=True):
            yield from ClassCounts.increments(told, said)

    def metrics(self, sums: Sums) -> Named:
        if "images" in sums:
            yield from ClassCounts(sums).micro("")


class Pixels(Statistic):
    """Classes of pixels."""

    def increments(self, row: Row) -> Increments:
        detail: Any = row.detail
        for told, said, count in zip(*[iter(detail.get("confusion", ()))] * 3, strict=True):
            yield from ClassCounts.increments(told, said, count)

    def metrics(self, sums: Sums) -> Named:
        counts = ClassCounts(sums)
        if not counts.right.size:
            return
        iou = ratio(counts.right, counts.predicted + counts.annotated - counts.right)
        kinds, pixels = counts.kinds, counts.annotated.sum(0)
        present, annotated = counts.present.sum(0), (counts.annotated > 0).sum(0)
        yield "mean_iou", mean(iou.sum(0), present)
        yield "pixel_accuracy", mean(counts.right.sum(0), pixels)
        yield "mean_accuracy", mean(kinds["recall"].sum(0), annotated)
        yield "frequency_weighted_iou", mean((iou * counts.annotated).sum(0), pixels)
        yield "dice", mean(kinds["f1"].sum(0), present)


class Pictures(Statistic):
    """Likeness of pictures: means over those that have a figure."""

    def increments(self, row: Row) -> Increments:
        detail: Any = row.detail
        for name, value in detail.items():
            yield ("sum", name), value
            yield ("count", name), 1

    def metrics(self, sums: Sums) -> Named:
        for key in list(sums):
            if isinstance(key, tuple) and key[0] == "count":
                yield key[1], mean(sums["sum", key[1]], sums[key])


class Regression(Statistic):
    """Errors of numbers, for each output."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._origins: list[float] = []
        self._logarithmic: list[bool] = []

    def increments(self, row: Row) -> Increments:
        detail: Any = row.detail
        targets = detail.get("targets", ())
        # Squares of what lies far from 0 would lose what they differ by.
        self._origins = self._origins or list(targets)
        self._logarithmic = self._logarithmic or [True] * len(targets)
        for output, target in enumerate(targets):
            value, moved = detail["values"][output], target - self._origins[output]
            yield ("images", output), 1
            yield ("squared", output), (target - value) ** 2
            yield ("absolute", output), abs(target - value)
            yield ("targets", output), moved
            yield ("squares", output), moved * moved
            self._logarithmic[output] &= min(target, value) > -1
            if self._logarithmic[output]:
                yield ("logs", output), (math.log1p(target) - math.log1p(value)) ** 2

    def metrics(self, sums: Sums) -> Named:
        labels = self.options.labels
        outputs = range(len(self._origins))
        by_output = [dict(self._figures(output, sums)) for output in outputs]
        for name in by_output[0] if by_output else ():
            if all(name in each for each in by_output):
                yield name, np.mean([each[name] for each in by_output], axis=0)
        for output in outputs if len(outputs) > 1 else ():
            label = labels[output] if output < len(labels) else str(output)
            for name, values in by_output[output].items():
                yield f"{name}.{label}", values

    def _figures(self, output: int, sums: Sums) -> Named:
        count, squared = sums["images", output], sums["squared", output]
        yield "mse", mean(squared, count)
        yield "rmse", np.sqrt(mean(squared, count))
        yield "mae", mean(sums["absolute", output], count)
        if self._logarithmic[output]:
            yield "msle", mean(sums["logs", output], count)
        spread = sums["squares", output] - mean(sums["targets", output] ** 2, count)
        yield "r2", 1 - mean(squared, np.where(spread > 0, spread, 0))


def _classification(options: Options) -> Statistic:
    return MultiLabel(options) if options.multi_label else SingleLabel(options)


STATISTICS: Mapping[Task, Callable[[Options], Statistic]] = MappingProxyType(
    {
        Task.CLASSIFICATION: _classification,
        Task.DETECTION: Objects,
        Task.INSTANCE_SEGMENTATION: Objects,
        Task.SEMANTIC_SEGMENTATION: Pixels,
        Task.SUPER_RESOLUTION: Pictures,
        Task.STYLE_TRANSFER: Pictures,
        Task.INPAINTING: Pictures,
        Task.REGRESSION: Regression,
    }
)
