"""Objects of one image as a row keeps them, and as arrays."""

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco
from numpy.typing import NDArray

from pellucid_server.evaluate.annotations import Object
from pellucid_server.evaluate.evaluator import BadAnnotation
from pellucid_server.evaluate.evaluators.masks import annotated_mask, rle
from pellucid_server.evaluate.metrics.matching import RECORD, Annotated, Predicted
from pellucid_server.imaging.encode import mask_to_rle
from pellucid_server.types import Array, Box, Detection, Instance, Size

Detail = Mapping[str, Any]


@dataclass(frozen=True)
class Shapes:
    """Where objects are: boxes as x, y, width and height, and masks where the task has them."""

    boxes: Sequence[Sequence[float]]
    masks: Sequence[str] | None
    size: Size
    """Of the image."""

    def regions(self) -> Any:
        """What overlaps: masks where there are any, or else boxes."""
        if self.masks is not None:
            return [rle(each, self.size) for each in self.masks]
        return np.array(self.boxes, np.float64).reshape(-1, 4)

    def areas(self) -> NDArray[np.float64]:
        """Pixels of each object."""
        if self.masks is not None:
            return np.array([coco.area(each) for each in self.regions()], np.float64)
        boxes = self.regions()
        return np.asarray(boxes[:, 2] * boxes[:, 3])

    def detail(self) -> Detail:
        """As a row keeps it."""
        if self.masks is None:
            return {"boxes": self.boxes}
        return {"boxes": self.boxes, "masks": self.masks, "size": list(self.size)}


@dataclass(frozen=True)
class Found:
    """Objects that a model found, highest confidence first."""

    classes: Sequence[int]
    scores: Sequence[float]
    shapes: Shapes

    @classmethod
    def of(cls, objects: Sequence[Detection | Instance], size: Size, *, masks: bool) -> "Found":
        """Boxes to 0.01 pixels, and scores of single precision in their fewest digits."""
        return cls(
            [each.category.class_id for each in objects],
            [float(str(np.float32(each.category.confidence))) for each in objects],
            Shapes(
                [_box(each.box, 2) for each in objects],
                [mask_to_rle(each.mask) for each in objects if isinstance(each, Instance)]
                if masks
                else None,
                size,
            ),
        )

    def predicted(self) -> Predicted:
        """As arrays."""
        return Predicted(
            np.array(self.classes, np.int32),
            np.array(self.scores, np.float32),
            self.shapes.areas(),
        )

    def detail(self) -> Detail:
        """As a row keeps it."""
        return {**self.shapes.detail(), "scores": self.scores, "classes": self.classes}


@dataclass(frozen=True)
class Truth:
    """Objects that are annotated."""

    annotated: Annotated
    shapes: Shapes

    @classmethod
    def of(
        cls, objects: Sequence[Object], class_id: Callable[[str], int], size: Size, *, masks: bool
    ) -> "Truth":
        """Boxes to a millionth of a pixel; areas as annotated, or else measured.

        Raises:
            BadAnnotation: a class that the model does not have, or a mask that is none.
        """
        shapes = Shapes(
            [_box(each.box, 6) for each in objects],
            [_mask(each, size) for each in objects] if masks else None,
            size,
        )
        areas = [
            measured if each.area is None else each.area
            for each, measured in zip(objects, shapes.areas().tolist(), strict=True)
        ]
        annotated = Annotated(
            np.array([class_id(each.label) for each in objects], np.int32),
            np.array(areas, np.float64),
            np.array([each.crowd for each in objects], np.bool_),
            np.array([each.difficult for each in objects], np.bool_),
        )
        return cls(annotated, shapes)

    def detail(self) -> Detail:
        """As a row keeps it."""
        return {
            **self.shapes.detail(),
            "classes": self.annotated.class_ids.tolist(),
            "areas": self.annotated.areas.tolist(),
            "crowd": np.flatnonzero(self.annotated.crowd).tolist(),
            "difficult": np.flatnonzero(self.annotated.difficult).tolist(),
        }


def restored(detail: Detail) -> Annotated:
    """What a row keeps of annotated objects, but for where they are."""
    classes = np.array(detail["classes"], np.int32)
    crowd, difficult = (
        np.isin(np.arange(len(classes)), detail[name]) for name in ("crowd", "difficult")
    )
    return Annotated(classes, np.array(detail["areas"], np.float64), crowd, difficult)


def pack(records: Array) -> str:
    """Matched objects as a text."""
    return base64.b64encode(zlib.compress(records.tobytes())).decode()


def unpack(text: str) -> Array:
    """The matched objects again."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), RECORD)


def overlaps(found: Shapes, truth: Shapes, crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of each pair, found x annotated; of a crowd, the share of the found object in it."""
    if not found.boxes or not truth.boxes:
        return np.zeros((len(found.boxes), len(truth.boxes)))
    flags = crowd.astype(int).tolist()
    return np.asarray(coco.iou(found.regions(), truth.regions(), flags), np.float64)


def _box(box: Box, digits: int) -> list[float]:
    edges = (box.x_min, box.y_min, box.x_max - box.x_min, box.y_max - box.y_min)
    return [round(float(each), digits) for each in edges]


def _mask(found: Object, size: Size) -> str:
    mask = annotated_mask(found, size)
    if mask is None:
        raise BadAnnotation(f"a {found.label!r} has no mask, which this task is judged by")
    return mask
