import math
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.activations import sigmoid
from pellucid_server.tasks.decoders.base import Candidates, DecodeOptions, Decoder, register
from pellucid_server.tasks.decoders.boxes import floats, from_centers
from pellucid_server.types import ANY, Array, Outputs, Size

Anchors = Annotated[tuple[PositiveFloat, ...], Field(min_length=2)]


class YoloRawOptions(DecodeOptions):
    """Strides of the heads, and the anchors of each: width, height, width, height, ..."""

    strides: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (8, 16, 32)
    """Pixels of the input from cell to cell, head by head."""
    anchors: tuple[Anchors, ...] = (
        (10, 13, 16, 30, 33, 23),
        (30, 61, 62, 45, 59, 119),
        (116, 90, 156, 198, 373, 326),
    )
    """In pixels of the input; by default those of YOLOv5."""

    @model_validator(mode="after")
    def _in_pairs(self) -> Self:
        counts = {len(each) for each in self.anchors}
        if len(self.anchors) != len(self.strides) or len(counts) != 1 or counts.pop() % 2:
            raise ValueError("give for each stride as many pairs of width and height")
        return self


@register("yolo_raw")
@dataclass(frozen=True)
class YoloRaw(Decoder[YoloRawOptions]):
    """YOLOv5 and v7 before their boxes are decoded: logits of one head for each stride.

    Each head is 1 x anchors x height x width x (5 + classes), or
    1 x (anchors * (5 + classes)) x height x width; heads are found by their grids.
    `Detect.forward` in models/yolo.py of github.com/ultralytics/yolov5: center
    (2 s - 0.5 + cell) * stride, extent (2 s)^2 * anchor, with s the sigmoid.
    """

    options_type = YoloRawOptions

    def __post_init__(self) -> None:
        heads = [port.shape for port in self.outputs]
        wrong = len(heads) != len(self.options.strides)
        if wrong or any(len(shape) not in {4, 5} for shape in heads):
            raise InvalidInput(
                f"{len(self.options.strides)} strides need as many outputs of four or five "
                f"dimensions: the model has {[list(shape) for shape in heads]}",
                field="decode.strides",
            )
        for shape in heads:
            channels = shape[-1] if len(shape) == 5 else shape[1] // self.each
            if channels != ANY:
                self.check_classes(channels - 5)

    @property
    def each(self) -> int:
        """Anchors of a head."""
        return len(self.options.anchors[0]) // 2

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        heads = [self._cells(floats(each)) for each in outputs.values()]
        rows = [
            self._head(_of_grid(heads, stride, size), stride, np.reshape(anchors, (-1, 2)))
            for stride, anchors in zip(self.options.strides, self.options.anchors, strict=True)
        ]
        values = np.concatenate(rows)
        return Candidates(from_centers(values), values[:, 4:5] * values[:, 5:])

    def _cells(self, head: Array) -> Array:
        """Anchors x height x width x channels."""
        if head.ndim == 5:
            return head.reshape(head.shape[1:])
        height, width = head.shape[2:]
        return head.reshape(self.each, -1, height, width).transpose(0, 2, 3, 1)

    @staticmethod
    def _head(head: Array, stride: int, anchors: Array) -> Array:
        values = sigmoid(head)
        rows, columns = np.indices(head.shape[1:3], np.float32)
        cells = np.stack([columns, rows], axis=-1)
        values[..., :2] = (2 * values[..., :2] - 0.5 + cells) * stride
        values[..., 2:4] = (2 * values[..., 2:4]) ** 2 * anchors[:, None, None]
        return values.reshape(-1, values.shape[-1])


def _of_grid(heads: list[Array], stride: int, size: Size) -> Array:
    grid = tuple(math.ceil(extent / stride) for extent in size)
    found = [head for head in heads if head.shape[1:3] == grid]
    if len(found) != 1:
        raise ValueError(f"{len(found)} heads of {grid}, not one")
    return found[0]
