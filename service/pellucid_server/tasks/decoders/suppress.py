"""From candidates to objects: thresholds, the classes asked for, suppression, the best few."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid_server.tasks.decoders.base import MOST, Candidates
from pellucid_server.types import Array


@dataclass(frozen=True)
class Limits:
    """Which objects are wanted."""

    confidence: float
    iou: float | None
    """None: no suppression."""
    most: int
    classes: frozenset[int] | None = None
    """None: all."""
    multi_label: bool = False


@dataclass(frozen=True)
class Chosen:
    """Objects by falling confidence: rows of the candidates, their classes and confidences."""

    rows: NDArray[np.intp]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]

    def take(self, order: Array) -> "Chosen":
        """These only, in this order."""
        return Chosen(self.rows[order], self.class_ids[order], self.scores[order])


def choose(candidates: Candidates, limits: Limits) -> Chosen:
    """The wanted objects; of equals the first in the model's order comes first.

    A confidence of 0 is no object, whatever the threshold. More than `MOST` are cut to
    the most confident before suppression, whose time grows with their square.
    """
    found = _named(candidates, limits)
    wanted = (found.scores >= limits.confidence) & (found.scores > 0)
    if limits.classes is not None:
        wanted &= np.isin(found.class_ids, list(limits.classes))
    found = found.take(np.flatnonzero(wanted))
    found = found.take(np.argsort(-found.scores, kind="stable")[:MOST])
    if candidates.needs_nms and limits.iou is not None:
        found = found.take(suppress(candidates.boxes[found.rows], found, limits.iou))
    return found.take(np.arange(len(found.rows))[: limits.most])


def suppress(boxes: Array, found: Chosen, iou: float) -> NDArray[np.intp]:
    """What non-maximum suppression keeps, class by class, in order.

    One call a class: cv2.dnn.NMSBoxesBatched moves classes apart by the greatest
    coordinate, which negative ones undo.
    """
    return np.sort(np.fromiter(_kept(boxes.astype(np.float64), found, iou), np.intp))


def _kept(boxes: Array, found: Chosen, iou: float) -> Iterator[int]:
    boxes[:, 2:] -= boxes[:, :2]
    for class_id in np.unique(found.class_ids):
        members = np.flatnonzero(found.class_ids == class_id)
        # the stubs ask for lists, the function takes arrays ten times as fast
        kept = cv2.dnn.NMSBoxes(boxes[members], found.scores[members], 0.0, iou)  # type: ignore[arg-type]
        yield from members[np.asarray(kept, np.intp)]


def _named(candidates: Candidates, limits: Limits) -> Chosen:
    """Every candidate with its class, or with each class above the threshold."""
    scores, class_ids = candidates.scores, candidates.class_ids
    rows: NDArray[np.intp] = np.arange(len(candidates.boxes))
    if class_ids is None and limits.multi_label:
        rows, class_ids = np.nonzero(scores >= limits.confidence)
        scores = scores[rows, class_ids]
    elif class_ids is None:
        class_ids = scores.argmax(axis=1)
        scores = scores[rows, class_ids]
    return Chosen(rows, class_ids, scores)
