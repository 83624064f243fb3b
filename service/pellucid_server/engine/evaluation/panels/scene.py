"""A row of an evaluation, with what it takes to draw it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, Evaluator, LoadPicture
from pellucid_server.evaluate.report import Row
from pellucid_server.imaging.draw import Canvas
from pellucid_server.imaging.letters import name_of
from pellucid_server.types import Image, Size

PREDICTION, ANNOTATION = "Prediction", "Annotation"
BLANK_SIDE = 320
GREY = 64


@dataclass(frozen=True)
class Replay:
    """A sample that was run through the model again."""

    sample: Sample
    parameters: Any
    answer: Any
    evaluator: Evaluator
    load: LoadPicture
    """Pictures of the annotation, as evaluators take them."""
    picture: Callable[[str], Image]
    """Pictures of the data set, as people see them."""


@dataclass(frozen=True)
class Scene:
    """A row with what it takes to draw it; `size` is that of the whole image."""

    row: Row
    side: int
    image: Image | None = None
    size: Size | None = None
    label: Callable[[int], str] = lambda _: ""
    """The model's name for a class; empty: it has none."""
    threshold: float = 0.5
    replay: Callable[[], Replay] | None = None

    def canvas(self) -> Canvas:
        """The image, or a dark plane where there is none."""
        if self.image is not None:
            return Canvas(self.image, self.side, self.size)
        width = self.side or BLANK_SIDE
        return Canvas(np.full((max(width // 3, 1), width, 3), GREY, np.uint8), self.side)

    def whole(self) -> Size:
        """The size of the image.

        Raises:
            BadAnnotation: there is none.
        """
        if self.size is None:
            raise BadAnnotation("there is no image")
        return self.size

    @property
    def detail(self) -> Mapping[str, Any]:
        """What the evaluator kept."""
        return self.row.detail

    def name(self, class_id: int) -> str:
        """The class's name, as it can be drawn."""
        return name_of(class_id, self.label(class_id))

    def replayed(self) -> Replay:
        """The sample and the model's answer."""
        if self.replay is None:
            raise TypeError("the scene cannot be replayed")
        return self.replay()


Painter = Callable[[Scene], Iterator[Image]]
"""Yields the panel of the prediction, then those of the annotation."""


def not_annotated(scene: Scene) -> Image:
    """The panel in place of an annotation."""
    return scene.canvas().framed("Not annotated")


def verdict(row: Row, otherwise: str = "all found") -> str:
    """The heading of an annotation: what of it was not met."""
    counts = {"missed": row.missed, "extra": row.extra}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{ANNOTATION}: {told or otherwise}"


def share(value: float) -> str:
    """A confidence or a part, as people read it."""
    return f" {value:.0%}" if 0.01 <= value <= 0.99 or value in {0, 1} else f" {value:.1%}"
