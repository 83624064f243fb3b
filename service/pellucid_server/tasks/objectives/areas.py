"""Classes of pixels: how probable a class stays where the whole image has it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import NotFound
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.objectives.base import (
    Objective,
    Subject,
    Target,
    Wanted,
    class_field,
    class_index,
    images,
)
from pellucid_server.tasks.objectives.places import cells, checked
from pellucid_server.types import Array, Box, Category, Outputs, Size, Task

KINDS = ("class_id", "label", "box")

Pixels = NDArray[np.bool_]
Probability = Callable[[int], Array]
"""Of a class, for every pixel of a map."""


@dataclass(frozen=True, eq=False)
class Areas(Objective):
    """The mean probability of each subject's class over its pixels."""

    pixels: tuple[Pixels, ...]
    read: Callable[[Outputs], Probability]

    def scores(self, outputs: Outputs, count: int) -> Array:
        return np.array([list(self._of(self.read(each))) for each in images(outputs, count)])

    def _of(self, probability: Probability) -> Iterator[float]:
        for subject, pixels in zip(self.subjects, self.pixels, strict=True):
            yield float(probability(subject.category.class_id)[pixels].mean(dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Segments:
    """What a model says of the pixels of a whole image, at the output's resolution."""

    classes: NDArray[np.integer]
    """The class of each pixel."""
    probability: Probability
    frame: Frame
    count: int | None
    """Classes of the model; None: any number."""
    labels: tuple[str, ...]
    """Empty where classes have no names."""

    def areas(self, wanted: Wanted, read: Callable[[Outputs], Probability]) -> Areas:
        """The classes that the caller names, or those of the largest areas.

        Raises:
            NotFound: no pixel is of such a class.
            InvalidInput: a target is wrong.
        """
        found = wanted.chosen(Task.SEMANTIC_SEGMENTATION, KINDS, self._first, self._find)
        return Areas(tuple(each for each, _ in found), tuple(each for _, each in found), read)

    def _first(self, count: int) -> list[tuple[Subject, Pixels]]:
        seen = self._within(None)
        return [self._area(each, seen) for each in self._by_area(seen)[:count]]

    def _find(self, target: Target, path: str) -> tuple[Subject, Pixels]:
        box = target.box and checked(target.box, self.frame.image, f"{path}.box")
        within = self._within(box)
        if not target.has_class:
            return self._area(self._by_area(within)[0], within, box)
        class_id = class_index(target, self.labels, self.count, path)
        if not (within & (self.classes == class_id)).any():
            place = "in the box" if box else "of the image"
            raise NotFound(
                f"no pixel {place} is {target.label or f'of class {class_id}'}",
                field=class_field(target, path),
            )
        return self._area(class_id, within, box)

    def _within(self, box: Box | None) -> Pixels:
        return cells(self.frame, Size(*self.classes.shape), box)

    def _by_area(self, within: Pixels) -> list[int]:
        counts = np.bincount(self.classes[within])
        order = np.argsort(-counts, kind="stable")
        return [int(each) for each in order if counts[each]]

    def _area(
        self, class_id: int, within: Pixels, box: Box | None = None
    ) -> tuple[Subject, Pixels]:
        pixels = within & (self.classes == class_id)
        mean = float(self.probability(class_id)[pixels].mean(dtype=np.float64))
        label = self.labels[class_id] if class_id < len(self.labels) else ""
        category = Category(class_id, label, min(mean, 1.0))
        return Subject.confident(category, box), pixels
