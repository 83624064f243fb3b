"""D-RISE: how well a model's proposals still have the object that is explained.

https://arxiv.org/abs/2006.03204, section 3.1
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_server.tasks.objectives.base import Objective, Subject, images
from pellucid_server.tasks.objectives.shapes import Lay, Shape
from pellucid_server.types import Array, Box, Outputs

LEAST = 0.01
"""Objectness below which a proposal counts for nothing."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """Boxes before thresholds and suppression: what D-RISE compares with its target.

    `boxes` is N x 4 in pixels of the image; `scores` is N x classes. Objectness is the
    highest score of a box: layouts that give one of their own have it in the scores. Where
    the model says only the best class of a box, the others score 0.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    mask: Lay | None = None
    """What lays the mask of a row on a grid, where there are masks."""

    @cached_property
    def objectness(self) -> Array:
        """Of each row."""
        return np.asarray(self.scores.max(axis=1, initial=0))

    def strong(self) -> "Proposals":
        """Those that may count for something."""
        rows = np.flatnonzero(self.objectness >= LEAST)
        lay = self.mask
        return Proposals(
            self.boxes[rows],
            self.scores[rows],
            lay and (lambda row, grid: lay(int(rows[row]), grid)),
        )

    def weights(self, vector: Array) -> Array:
        """Cosine similarity of classes x objectness: equation 2 without the overlap."""
        known = min(len(vector), self.scores.shape[1])
        products = self.scores[:, :known].astype(np.float64) @ vector[:known]
        norms = np.linalg.norm(self.scores, axis=1) * np.linalg.norm(vector)
        cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
        return np.asarray(cosines * self.objectness)


@dataclass(frozen=True, eq=False)
class Sought:
    """An object to look for: where it is, and its vector of classes."""

    subject: Subject
    box: Box
    vector: Array
    shape: Shape | None = None

    def score(self, proposals: Proposals) -> float:
        """The best of the proposals: overlap x similarity of classes x objectness; 0: none."""
        weights = proposals.weights(self.vector)
        overlaps = overlap(self.box, proposals.boxes)
        if self.shape and proposals.mask:
            return self.shape.score(np.where(overlaps > 0, weights, 0), proposals.mask)
        return float((weights * overlaps).max(initial=0))


@dataclass(frozen=True, eq=False)
class Objects(Objective):
    """Objects that a detector found, or that a caller says are there."""

    sought: tuple[Sought, ...]
    read: Callable[[Outputs], Proposals]

    def scores(self, outputs: Outputs, count: int) -> Array:
        return np.array([self._of(self.read(each).strong()) for each in images(outputs, count)])

    def _of(self, proposals: Proposals) -> list[float]:
        return [each.score(proposals) for each in self.sought]


def overlap(box: Box, boxes: Array) -> Array:
    """Intersection over union of a box with each of N x 4."""
    first = np.array([box.x_min, box.y_min, box.x_max, box.y_max])
    boxes = np.asarray(boxes, np.float64)
    sides = np.minimum(first[2:], boxes[:, 2:]) - np.maximum(first[:2], boxes[:, :2])
    both = sides.clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(both / (areas + (first[2:] - first[:2]).prod() - both))
