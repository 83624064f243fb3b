from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.annotations import LabelMap, Sample
from pellucid_server.evaluate.evaluator import (
    BadAnnotation,
    Evaluator,
    LoadPicture,
    Options,
    register,
)
from pellucid_server.evaluate.match import Matcher
from pellucid_server.evaluate.metrics.confusion import ConfusionMatrix
from pellucid_server.evaluate.metrics.counts import mean
from pellucid_server.evaluate.metrics.segmentation import METRICS, PixelTally, compare
from pellucid_server.evaluate.report import NOTHING, Metric, Report, Row
from pellucid_server.types import (
    Array,
    SemanticSegmentationParameters,
    SemanticSegmentationResult,
    Size,
    Task,
)

BACKGROUND = "background"


@register
class SemanticSegmentationEvaluator(Evaluator):
    """A class for every pixel.

    A model with one label tells it from a background, class 0. A row's `score` is the mean
    IoU of the image; `missed` and `extra` are classes no pixel of which was found, and
    classes that are not annotated. `detail` has `confusion`: annotated class, predicted
    class and pixels, one after another. A map of another size than the image is refused:
    what its pixels mean would be a guess.
    """

    task = Task.SEMANTIC_SEGMENTATION
    annotations = (LabelMap,)
    metric_names = METRICS

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        labels = options.labels
        self._labels = (BACKGROUND, *labels) if len(labels) == 1 else tuple(labels)
        self._matcher = Matcher(self._labels, options.label_map, options.classes)
        self._tally = PixelTally(self._labels)

    def parameters(self) -> SemanticSegmentationParameters:
        threshold = self.options.threshold
        if threshold is None:
            return SemanticSegmentationParameters()
        return SemanticSegmentationParameters(threshold=threshold)

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        del size
        result: SemanticSegmentationResult = answer
        top = result.areas[0].category if result.areas else None
        row = Row(index, sample.path, predicted=top)
        if sample.annotation is None:
            return row
        if not isinstance(sample.annotation, LabelMap):
            raise BadAnnotation("the annotation is no picture of classes")
        values = _values(sample.annotation, load(sample.annotation.path))
        return self._judged(row, values, result.label_map, sample.annotation)

    def add(self, row: Row) -> None:
        detail: Any = row.detail
        if row.score is not None:
            counts = detail["confusion"]
            self._tally.add(list(zip(*[iter(counts)] * 3, strict=True)), row.score)

    def running(self) -> tuple[Metric, ...]:
        return self.wanted(self._tally.running())

    def report(self) -> Report:
        report = self._tally.report()
        return replace(report, metrics=self.wanted(report.metrics))

    def _judged(self, row: Row, values: Array, predicted: Array, annotation: LabelMap) -> Row:
        if values.shape != predicted.shape:
            raise BadAnnotation(
                f"the map of classes is {values.shape[1]} x {values.shape[0]} pixels and the "
                f"image {predicted.shape[1]} x {predicted.shape[0]}"
            )
        kept = np.ones(values.shape, np.bool_)
        if annotation.ignored is not None:
            kept = values != annotation.ignored
        triples = compare(self._classes(values[kept], annotation.names), predicted[kept])
        confusion = ConfusionMatrix()
        for triple in triples:
            confusion.add(*triple)
        classes = list(confusion.classes().values())
        return replace(
            row,
            score=mean([each.iou for each in classes]) if classes else 1.0,
            missed=sum(each.annotated > 0 and each.right == 0 for each in classes),
            extra=sum(each.annotated == 0 for each in classes),
            detail={"confusion": [each for triple in triples for each in triple]},
        )

    def _classes(self, values: Array, names: Sequence[str]) -> NDArray[np.int64]:
        """The model's classes of values of the map."""
        if not values.size:
            return np.zeros(0, np.int64)
        table = np.full(int(values.max()) + 1, NOTHING)
        for value in np.flatnonzero(np.bincount(values)).tolist():
            table[value] = self._class(value, names)
        return np.asarray(table[values])

    def _class(self, value: int, names: Sequence[str]) -> int:
        if names and value >= len(names):
            raise BadAnnotation(
                f"a pixel has the value {value} and the data set names {len(names)} classes"
            )
        return self._matcher.class_id(names[value] if names else str(value))


def _values(annotation: LabelMap, picture: Array) -> Array:
    """The value of every pixel, height x width."""
    if annotation.palette is not None:
        return _by_color(annotation.palette, picture)
    if picture.ndim == 2:
        return picture
    if (picture == picture[..., :1]).all():
        return np.asarray(picture[..., 0])
    raise BadAnnotation("the map of classes has colours and the data set does not say which")


def _by_color(palette: Mapping[tuple[int, int, int], int], picture: Array) -> Array:
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    codes = picture.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    found, places = np.unique(codes, return_inverse=True)
    known = {red << 16 | green << 8 | blue: value for (red, green, blue), value in palette.items()}
    for code in found.tolist():
        if code not in known:
            raise BadAnnotation(f"no class has the colour #{code:06x}")
    return np.array([known[code] for code in found.tolist()])[places].reshape(codes.shape)
