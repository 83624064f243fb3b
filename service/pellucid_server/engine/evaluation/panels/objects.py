from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco
from numpy.typing import NDArray

from pellucid_server.engine.evaluation.panels.scene import (
    PREDICTION,
    Scene,
    not_annotated,
    share,
    verdict,
)
from pellucid_server.evaluate.evaluator import BadAnnotation
from pellucid_server.evaluate.evaluators.masks import rle
from pellucid_server.evaluate.evaluators.shapes import Found, Shapes, overlaps, restored
from pellucid_server.evaluate.metrics.matching import match
from pellucid_server.evaluate.report import NOTHING
from pellucid_server.imaging.draw import (
    EXTRA,
    FOUND,
    IGNORED,
    MISSED,
    Canvas,
    Color,
    Tag,
    color_of,
)
from pellucid_server.types import Box, Image, Size


def objects(scene: Scene) -> Iterator[Image]:
    """Boxes, and masks where there are any, with their classes."""
    detail = scene.detail
    found = _Found.of(detail, scene)
    canvas = scene.canvas()
    _draw(canvas, [found.marked(each, color_of(found.classes[each])) for each in found.kept])
    yield canvas.framed(PREDICTION if found.kept else f"{PREDICTION}: none")
    if "truth" not in detail:
        yield not_annotated(scene)
        return
    canvas = scene.canvas()
    _draw(canvas, list(_judged(scene, found, detail["truth"])))
    yield canvas.framed(verdict(scene.row))


@dataclass(frozen=True)
class Marked:
    """An object with its colour and words."""

    box: Box
    mask: Callable[[], NDArray[np.bool_]] | None
    """Made when it is drawn: those of a large image do not all fit into memory."""
    tag: Tag


def _draw(canvas: Canvas, objects: Sequence[Marked]) -> None:
    """The first on top, and the first to find room for its words."""
    for each in reversed(objects):
        if each.mask is not None:
            canvas.tint(each.mask(), each.tag.color)
    for each in reversed(objects):
        canvas.outline(each.box, each.tag.color)
    for each in objects:
        canvas.tag(each.box, each.tag)


@dataclass(frozen=True)
class _Found:
    """Objects that a model found; `kept` are those from the threshold on."""

    scene: Scene
    found: Found
    kept: Sequence[int]

    @staticmethod
    def of(detail: Mapping[str, Any], scene: Scene) -> "_Found":
        shapes = Shapes(detail["boxes"], detail.get("masks"), scene.whole())
        scores = np.array(detail["scores"], np.float32)
        kept = np.flatnonzero(scores >= np.float32(scene.threshold)).tolist()
        return _Found(scene, Found(detail["classes"], detail["scores"], shapes), kept)

    @property
    def classes(self) -> Sequence[int]:
        """Of all objects."""
        return self.found.classes

    def marked(self, index: int, color: Color, word: str = "") -> Marked:
        """An object, with its confidence."""
        name = word + self.scene.name(self.classes[index])
        return _marked(self.found.shapes, index, Tag(name, color, share(self.found.scores[index])))


def _judged(scene: Scene, found: _Found, detail: Mapping[str, Any]) -> Iterator[Marked]:
    """What was missed, what is extra, what was found, and what counts as nothing.

    As `evaluate.metrics.matching.compared` decides it.
    """
    truth, shapes = restored(detail), Shapes(detail["boxes"], detail.get("masks"), scene.whole())
    ious = overlaps(found.found.shapes, shapes, truth.crowd)
    partners = match(found.found.predicted(), truth, ious).truths
    taken = {int(partners[each]) for each in found.kept}
    names = [scene.name(each) for each in truth.class_ids.tolist()]
    indices = range(len(names))

    def mark(index: int, color: Color, word: str = "") -> Marked:
        return _marked(shapes, index, Tag(word + names[index], color))

    counted = [each for each in indices if not truth.ignored[each]]
    yield from (mark(each, MISSED, "missed: ") for each in counted if each not in taken)
    yield from (
        found.marked(each, EXTRA, "extra: ") for each in found.kept if partners[each] == NOTHING
    )
    yield from (mark(each, FOUND) for each in counted if each in taken)
    yield from (mark(each, IGNORED, "ignored: ") for each in indices if truth.ignored[each])


def _marked(shapes: Shapes, index: int, tag: Tag) -> Marked:
    x, y, width, height = shapes.boxes[index]
    mask = None if shapes.masks is None else partial(_mask, shapes.masks[index], shapes.size)
    return Marked(Box(x, y, x + width, y + height), mask, tag)


def _mask(counts: str, size: Size) -> NDArray[np.bool_]:
    try:
        return np.asarray(coco.decode(rle(counts, size)), np.bool_)
    except ValueError as error:
        raise BadAnnotation("the image has another size than when it was evaluated") from error
