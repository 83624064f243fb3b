from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.base import Prepared, register
from pellucid_server.tasks.decoders import Candidates
from pellucid_server.tasks.decoders.masks import Masks
from pellucid_server.tasks.detection import Detector
from pellucid_server.tasks.objectives.objects import Proposals
from pellucid_server.types import (
    Array,
    Box,
    DetectionParameters,
    Image,
    Instance,
    InstanceSegmentationParameters,
    InstanceSegmentationResult,
    Outputs,
    Task,
)

MOST_PIXELS = 2**30
"""Pixels under all masks of one image: each takes a byte."""


@register
@dataclass(frozen=True)
class InstanceSegmentation(Detector[InstanceSegmentationParameters, InstanceSegmentationResult]):
    """Boxes with classes and masks."""

    task = Task.INSTANCE_SEGMENTATION
    parameters = InstanceSegmentationParameters
    masks = True
    field = "instance_segmentation.detection"

    def detection(self, parameters: InstanceSegmentationParameters) -> DetectionParameters:
        return parameters.detection

    def prepare(self, image: Image, parameters: InstanceSegmentationParameters) -> Prepared:
        if not 0 < parameters.mask_threshold < 1:
            raise InvalidInput(
                f"mask_threshold is {parameters.mask_threshold}: give a value between 0 and 1",
                field="instance_segmentation.mask_threshold",
            )
        return super().prepare(image, parameters)

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: InstanceSegmentationParameters
    ) -> InstanceSegmentationResult:
        candidates = self.candidates(outputs, prepared)
        found = list(self.objects(candidates, prepared, parameters))
        easel = _Easel(_masks(candidates), candidates.boxes, prepared.frame)
        easel.check([row for row, _ in found])
        threshold = parameters.mask_threshold
        return InstanceSegmentationResult(
            tuple(
                Instance(each.box, each.category, easel.mask(row, threshold)) for row, each in found
            )
        )

    def proposals(
        self, outputs: Outputs, prepared: Prepared, parameters: InstanceSegmentationParameters
    ) -> Proposals:
        found = self.candidates(outputs, prepared)
        masks = _masks(found)

        def lay(row: int, grid: Frame) -> NDArray[np.bool_]:
            return _Easel(masks, found.boxes, grid).mask(row, parameters.mask_threshold)

        return replace(self.proposed(found, prepared), mask=lay)


@dataclass(frozen=True)
class _Easel:
    """Where masks are laid on the image, by boxes in pixels of the input."""

    masks: Masks
    boxes: Array
    frame: Frame

    def check(self, rows: Sequence[int]) -> None:
        """Refuses masks that would not fit into memory."""
        image = self.frame.image
        pixels = sum(self.masks.window(self.box(row), image).pixels for row in rows)
        if pixels > MOST_PIXELS:
            raise InvalidInput(
                f"the masks of {len(rows)} objects on {image.width} x {image.height} pixels are "
                "too many: lower max_detections, or send a smaller image",
                field="instance_segmentation.detection.max_detections",
            )

    def mask(self, row: int, threshold: float) -> NDArray[np.bool_]:
        """The pixels that are in a mask with at least this probability."""
        box, mask = self.box(row), np.zeros(self.frame.image, np.bool_)
        where = self.masks.window(box, self.frame.image)
        with np.errstate(over="ignore", invalid="ignore"):
            mask[where] = self.masks.lay(row, box, self.frame) >= threshold
        return mask

    def box(self, row: int) -> Box:
        """In pixels of the image, and beyond it where the mask goes on there."""
        across, down = self.frame.scale
        x_min, y_min, x_max, y_max = self.boxes[row].tolist()
        left, top = self.frame.region.x_min, self.frame.region.y_min
        return Box(
            x_min * across + left, y_min * down + top, x_max * across + left, y_max * down + top
        )


def _masks(candidates: Candidates) -> Masks:
    if candidates.masks is None:
        raise TypeError("a decoder of masks read none")
    return candidates.masks
