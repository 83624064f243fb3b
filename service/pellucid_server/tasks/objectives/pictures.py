"""Pictures: how much of an answer stays as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.objectives.base import Objective, Subject, Target, Wanted, images
from pellucid_server.tasks.objectives.places import cells, checked
from pellucid_server.types import Array, Category, Outputs, Size, Task

KINDS = ("box",)
LEAST_VARIANCE = 1.0
"""A grey level squared: that of a picture of one colour."""

Picture = NDArray[np.float32]
"""Height x width x 3, of 0 to 255."""
Pixels = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pictures(Objective):
    """1 / (1 + MSE / V) of each patch: in (0, 1], and 1 where masks change nothing.

    MSE is the mean squared error between the patch and its unmasked self, over pixels and
    channels; V is the variance of the whole unmasked picture, the mean of its channels',
    and at least one grey level squared. Were V the patch's own, a patch of one colour would
    score nothing under any mask; an exponential would vanish where half of an image is hidden.
    """

    patches: tuple[Pixels, ...]
    read: Callable[[Outputs], Picture]
    picture: Picture

    @cached_property
    def variance(self) -> float:
        """That of the whole unmasked picture."""
        of_channels = self.picture.var(axis=(0, 1), dtype=np.float64)
        return max(float(of_channels.mean()), LEAST_VARIANCE)

    def scores(self, outputs: Outputs, count: int) -> Array:
        return np.array([self._of(self.read(each)) for each in images(outputs, count)])

    def _of(self, masked: Picture) -> list[float]:
        errors = ((masked - self.picture) ** 2).mean(axis=2)
        means = (float(errors[each].mean(dtype=np.float64)) for each in self.patches)
        return [1 / (1 + mean / self.variance) for mean in means]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model makes of a whole image."""

    task: Task
    name: str
    """Of all of it, for people."""
    picture: Picture
    pixels: Pixels
    """Those that reach the caller."""
    frame: Frame

    def pictures(self, wanted: Wanted, read: Callable[[Outputs], Picture]) -> Pictures:
        """The patches that the caller names, or all of it.

        Raises:
            InvalidInput: a target is no box, or nothing of the answer is there.
        """
        found = wanted.chosen(self.task, KINDS, self._whole, self._patch)
        subjects, patches = (tuple(each) for each in zip(*found, strict=True))
        return Pictures(subjects, patches, read, self.picture)

    def _whole(self, count: int) -> list[tuple[Subject, Pixels]]:
        del count
        return [(Subject(Category(0, "picture", 1.0), self.name), self.pixels)]

    def _patch(self, target: Target, path: str) -> tuple[Subject, Pixels]:
        box = target.box and checked(target.box, self.frame.image, f"{path}.box")
        pixels = self.pixels & cells(self.frame, Size(*self.picture.shape[:2]), box)
        if not pixels.any():
            raise InvalidInput("the model makes nothing at this box", field=f"{path}.box")
        return Subject(Category(0, "patch", 1.0), f"a patch of {self.name}", box), pixels
