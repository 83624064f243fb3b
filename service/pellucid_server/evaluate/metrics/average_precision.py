"""Average precision over matched objects, as COCO and VOC have it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.metrics.matching import (
    AREAS,
    BITS,
    NEITHER,
    RECORD,
    RIGHT,
    Annotated,
)
from pellucid_server.types import Array

RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = np.linspace(0, 1, 11)
CHUNK = 2**14
MOST = 100
"""Predicted objects of a class in an image that COCO looks at."""
NAMES = ("", "_small", "_medium", "_large")
"""Ends of figures' names, in the order of `AREAS`."""


@dataclass
class Records:
    """Predicted objects of all images, 26 bytes each."""

    _chunks: list[Array] = field(default_factory=list)
    _used: int = 0

    def add(self, records: Array) -> None:
        """Keeps the objects of an image."""
        for start in range(0, len(records), CHUNK):
            self._add(records[start : start + CHUNK])

    def all(self) -> Array:
        """Every object, in the order added."""
        if not self._chunks:
            return np.zeros(0, RECORD)
        return np.concatenate([*self._chunks[:-1], self._chunks[-1][: self._used]])

    def _add(self, records: Array) -> None:
        if not self._chunks:
            self._chunks.append(np.empty(CHUNK, RECORD))
        room = CHUNK - self._used
        self._chunks[-1][self._used : self._used + len(records)] = records[:room]
        self._used += min(len(records), room)
        if len(records) > room:
            self._chunks.append(np.empty(CHUNK, RECORD))
            self._used = 0
            self._add(records[room:])


@dataclass
class Objects:
    """What average precision needs of all images."""

    records: Records = field(default_factory=Records)
    counted: dict[int, NDArray[np.int64]] = field(
        default_factory=lambda: defaultdict(lambda: np.zeros(len(AREAS), np.int64))
    )
    """Objects to find by class, for each of `AREAS`."""

    def add(self, records: Array, annotated: Annotated) -> None:
        """Counts an image."""
        self.records.add(records)
        for class_id, counted in zip(
            annotated.class_ids.tolist(), annotated.counted().T, strict=True
        ):
            self.counted[class_id] += counted

    def classes(self) -> "Iterator[ClassRecords]":
        """Every class that was annotated or predicted, in order."""
        records = self.records.all()
        records = records[np.lexsort((-records["score"], records["class_id"]))]
        ids = np.union1d(records["class_id"], np.array([*self.counted], np.int64))
        for each in ids.astype(int).tolist():
            first, last = np.searchsorted(records["class_id"], [each, each + 1])
            counted = self.counted.get(each, np.zeros(len(AREAS), np.int64))
            yield ClassRecords(each, records[first:last], counted)


@dataclass(frozen=True)
class Sweep:
    """Precision, `IOUS` x `RECALLS`, and highest recall, `IOUS`."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@dataclass(frozen=True)
class ClassRecords:
    """The predicted objects of one class, highest score first, and how many there are to find."""

    class_id: int
    records: Array
    counted: NDArray[np.int64]

    @cached_property
    def _sweeps(self) -> "Mapping[str, Sweep]":
        """Of all objects of each size, by the end of the name, where there are any to find."""
        return {name: self._sweep(area) for area, name in enumerate(NAMES) if self.counted[area]}

    @property
    def precisions(self) -> Mapping[str, NDArray[np.float64]]:
        """Interpolated precision, `IOUS` x `RECALLS`, by the end of the name, where defined."""
        return {name: sweep.precision for name, sweep in self._sweeps.items()}

    @property
    def recalls(self) -> Mapping[str, NDArray[np.float64]]:
        """Highest recall at each of `IOUS`, by the end of the name, where defined."""
        found = {name: sweep.recall for name, sweep in self._sweeps.items() if name}
        if self.counted[0]:
            found |= {f"_{most}": self._sweep(0, most).recall for most in (1, 10, MOST)}
        return found

    def _sweep(self, area: int, most: int = MOST) -> "Sweep":
        """Precision and recall of COCO's `accumulate`, for the first objects of each image."""
        kept = self.records[self.records["rank"] < most]
        bits = BITS[:, None]
        right = (kept["right"][:, area] & bits) > 0
        wrong = ~right & ((kept["ignored"][:, area] & bits) == 0)
        rights, wrongs = right.cumsum(1, dtype=float), wrong.cumsum(1, dtype=float)
        recall = rights / self.counted[area]
        precision = envelope(rights / (rights + wrongs + np.spacing(1)))
        highest = recall[:, -1] if len(kept) else np.zeros(len(BITS))
        return Sweep(at_recalls(recall, precision), highest)

    def voc(self) -> tuple[float, float]:
        """Average precision of VOC: the area under the curve, and by 11 points."""
        known = self.records[self.records["voc"] != NEITHER]
        right = known["voc"] == RIGHT
        recall = right.cumsum() / self.counted[0]
        precision = envelope(right.cumsum() / np.arange(1, len(known) + 1))
        area = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        return area, float(at_recalls(recall[None], precision[None], VOC_RECALLS).mean())


def envelope(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest precision at this recall or a higher one, along the last axis."""
    return np.asarray(np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1])


def at_recalls(
    recall: NDArray[np.float64],
    precision: NDArray[np.float64],
    recalls: NDArray[np.float64] = RECALLS,
) -> NDArray[np.float64]:
    """The precision at given recalls, row by row; 0 beyond the highest recall."""
    padded = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)
    return np.stack(
        [values[np.searchsorted(row, recalls)] for row, values in zip(recall, padded, strict=True)]
    )
