"""Reports on objects: COCO's figures, VOC's, and those at the threshold."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.metrics.average_precision import RECALLS, ClassRecords, Objects
from pellucid_server.evaluate.metrics.confusion import ConfusionMatrix
from pellucid_server.evaluate.metrics.counts import KINDS, Counts, micro
from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.metrics.matching import Annotated
from pellucid_server.evaluate.metrics.sums import Total
from pellucid_server.evaluate.report import ClassReport, Curve, Metric, Report
from pellucid_server.types import Array, Category

SIZES = ("_small", "_medium", "_large")
PRECISIONS = ("map", "map_50", "map_75", *(f"map{size}" for size in SIZES))
RECALLED = ("_1", "_10", "_100", *SIZES)
METRICS = (
    *PRECISIONS,
    *(f"mar{each}" for each in RECALLED),
    "voc_map",
    "voc_map_11",
    *KINDS,
)
CURVES = 20
"""Classes that get a curve: those annotated most."""
ROWS: Mapping[str, slice] = {"": slice(None), "_50": slice(0, 1), "_75": slice(5, 6)}
"""Rows of the IoUs that a figure takes."""


@dataclass
class ObjectTally:
    """Objects of all images; 26 bytes for each predicted one."""

    labels: Sequence[str]
    threshold: float
    _objects: Objects = field(default_factory=Objects)
    _confusion: ConfusionMatrix = field(default_factory=ConfusionMatrix)
    _confidence: dict[int, Total] = field(default_factory=lambda: defaultdict(Total))
    _scores: Mapping[str, Histogram] = field(
        default_factory=lambda: {label: Histogram() for label in ("correct", "wrong", "")}
    )
    _judged: bool = False

    def add(self, records: Array, annotated: Annotated, pairs: Iterable[tuple[int, int]]) -> None:
        """Counts an image: its matched objects, and the classes compared at the threshold."""
        self._judged = True
        self._objects.add(records, annotated)
        for pair in pairs:
            self._confusion.add(*pair)
        right = (records["right"][:, 0] & 1) > 0
        wrong = ~right & ((records["ignored"][:, 0] & 1) == 0)
        self._scores["correct"].add_all(records["score"][right])
        self._scores["wrong"].add_all(records["score"][wrong])
        self._count(records["class_id"].tolist(), records["score"].tolist())

    def add_unknown(self, classes: Sequence[int], scores: Sequence[float]) -> None:
        """Counts an image that is not annotated."""
        self._scores[""].add_all(np.array(scores, np.float64))
        self._count(classes, scores)

    def running(self) -> Iterator[Metric]:
        """Those at the threshold."""
        if self._judged:
            yield from micro(self._confusion.classes().values(), "")

    def report(self) -> Report:
        """All figures; those of sizes that no object has are left out."""
        classes = list(self._objects.classes())
        counted = [each for each in classes if each.counted[0]]
        shown = sorted(counted, key=lambda each: (-each.counted[0], each.class_id))[:CURVES]
        return Report(
            (*_figures(classes), *self.running()),
            tuple(self._classes(counted)),
            self._confusion.entries(),
            (*self._curves(counted, shown), *self._histograms()),
        )

    def _count(self, classes: Sequence[int], scores: Sequence[float]) -> None:
        for class_id, score in zip(classes, scores, strict=True):
            if score >= self.threshold:
                self._confidence[class_id].add(score)

    def _classes(self, counted: Sequence[ClassRecords]) -> Iterator[ClassReport]:
        """Of every class that is to find, or predicted at the threshold."""
        counts, records = self._confusion.classes(), {each.class_id: each for each in counted}
        for class_id in sorted(records.keys() | counts.keys() | self._confidence.keys()):
            each, confidence = counts.get(class_id, Counts()), self._confidence.get(class_id)
            yield ClassReport(
                Category(class_id, self._name(class_id), confidence.mean if confidence else 0.0),
                each.precision,
                each.recall,
                each.f1,
                each.annotated,
                tuple(_of_class(records[class_id])) if class_id in records else (),
            )

    def _curves(
        self, counted: Sequence[ClassRecords], shown: Sequence[ClassRecords]
    ) -> Iterator[Curve]:
        """Precision at IoU 0.5 over recall, of all classes together and of some."""
        if counted:
            whole = np.mean([each.precisions[""][0] for each in counted], axis=0)
            yield _curve("", whole)
        for each in shown:
            yield _curve(self._name(each.class_id) or str(each.class_id), each.precisions[""][0])

    def _histograms(self) -> Iterator[Curve]:
        for label, histogram in self._scores.items():
            if histogram.counts.any():
                yield histogram.curve("scores", label)

    def _name(self, class_id: int) -> str:
        return self.labels[class_id] if class_id < len(self.labels) else ""


def _curve(label: str, precision: NDArray[np.float64]) -> Curve:
    return Curve("precision_recall", label, tuple(RECALLS.tolist()), tuple(precision.tolist()))


def _figures(classes: Sequence[ClassRecords]) -> Iterator[Metric]:
    """COCO's twelve and VOC's two, means over the classes that have any object to find."""
    for size in ("", *SIZES):
        found = [each.precisions[size] for each in classes if size in each.precisions]
        suffixes = ("",) if size else ROWS
        for suffix in suffixes if found else ():
            value = np.mean([each[ROWS[suffix]] for each in found])
            yield Metric(f"map{size}{suffix}", float(value))
    for end in RECALLED:
        recalls = [each.recalls[end] for each in classes if end in each.recalls]
        if recalls:
            yield Metric(f"mar{end}", float(np.mean(recalls)))
    vocs = [each.voc() for each in classes if each.counted[0]]
    for name, values in zip(("voc_map", "voc_map_11"), zip(*vocs, strict=True), strict=False):
        yield Metric(name, float(np.mean(values)))


def _of_class(records: ClassRecords) -> Iterator[Metric]:
    precision = records.precisions[""]
    for suffix, rows in ROWS.items():
        yield Metric(f"ap{suffix}", float(precision[rows].mean()))
    yield Metric("voc_ap", records.voc()[0])
