from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Literal, NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.decoders.base import Candidates, Decoder, register
from pellucid_server.tasks.decoders.boxes import class_numbers, floats, from_centers, from_unit
from pellucid_server.tasks.decoders.roles import NamedOutputs, need, ranked
from pellucid_server.types import ANY, Array, Outputs, Port, Size

Version = Literal["v3", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v26"]


class Family(StrEnum):
    """What the channels of a box are; masks come after them."""

    OBJECTNESS = "v5"
    """Center x, center y, width, height, objectness, classes."""
    DENSE = "v8"
    """Center x, center y, width, height, classes."""
    END_TO_END = "v10"
    """x_min, y_min, x_max, y_max, confidence, class: suppressed already."""


FAMILIES: dict[Version, Family] = {
    "v3": Family.OBJECTNESS,
    "v5": Family.OBJECTNESS,
    "v6": Family.OBJECTNESS,
    "v7": Family.OBJECTNESS,
    "v8": Family.DENSE,
    "v9": Family.DENSE,
    "v11": Family.DENSE,
    "v12": Family.DENSE,
    "v10": Family.END_TO_END,
    "v26": Family.END_TO_END,
}
BEFORE_CLASSES = {Family.OBJECTNESS: 5, Family.DENSE: 4}


class Layout(NamedTuple):
    """How an output of two axes (after the batch) holds boxes."""

    family: Family
    classes: int
    """0: not told by the shape."""
    channels_first: bool


class YoloOptions(NamedOutputs):
    """Which YOLO it is."""

    version: Version | None = None
    """By default found from the output's shape and the number of labels."""
    normalized: bool = False
    """Boxes are shares of the input, as in exports by way of TensorFlow."""


@register("yolo")
@dataclass(frozen=True)
class Yolo(Decoder[YoloOptions]):
    """YOLO as Ultralytics exports it, one output of decoded boxes in pixels of the input.

    - v5 (v3, v6, v7): 1 x N x (5 + classes). `Detect` in models/yolo.py of
      github.com/ultralytics/yolov5
    - v8 (v9, v11, v12): 1 x (4 + classes) x N, or transposed. `Detect._inference` in
      ultralytics/nn/modules/head.py of github.com/ultralytics/ultralytics
    - v10 (v26): 1 x N x 6, end to end. `Detect.postprocess`, there
    """

    options_type = YoloOptions

    def __post_init__(self) -> None:
        shape = self.port.shape[-2:]
        if ANY not in shape:
            self.layout(shape)

    @cached_property
    def port(self) -> Port:
        """The output with the boxes: named `boxes`, or the only one of three dimensions."""
        return need("boxes", self.outputs, self.options.outputs, ranked(3))

    @cached_property
    def extra(self) -> int:
        """Channels after the classes."""
        return 0

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        layout, rows = self.rows(outputs)
        found = READERS[layout.family](rows, layout.classes)
        if self.options.normalized:
            return replace(found, boxes=from_unit(found.boxes, size))
        return found

    def rows(self, outputs: Outputs) -> tuple[Layout, Array]:
        """The layout, and the output as boxes x channels."""
        values = floats(outputs[self.port.name])
        layout = self.layout(values.shape[-2:])
        values = values.reshape(values.shape[-2:])
        return layout, values.T if layout.channels_first else values

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The layout of an output of this shape.

        Raises:
            InvalidInput: none fits, or several do.
        """
        version = self.options.version
        families = {FAMILIES[version]} if version else set(Family)
        fits = list(_layouts(shape, self.labels, self.extra, families))
        found = {each.family for each in fits}
        if len(found) == 1:
            return fits[0]
        likely, known = " and ".join(sorted(found)) or "no layout", version or "YOLO"
        raise InvalidInput(
            f"output {self.port.name!r} of shape {list(shape)} fits {likely} of {known} with "
            f"{self.labels or 'unknown'} labels: check labels and set decode.version",
            field="decode.version",
        )


def _layouts(
    shape: tuple[int, ...], labels: int, extra: int, families: set[Family]
) -> Iterator[Layout]:
    """Those of a shape; where no label counts them, channels are fewer than boxes."""
    guess = not labels and Family.DENSE in families
    for channels_first in (True, False):
        channels, boxes = shape if channels_first else shape[::-1]
        if guess and 0 < boxes <= channels:
            continue
        for family in families & set(BEFORE_CLASSES):
            classes = channels - BEFORE_CLASSES[family] - extra
            upright = family is Family.DENSE or not channels_first
            if upright and classes > 0 and labels in {0, classes}:
                yield Layout(family, classes, channels_first)
        if Family.END_TO_END in families and channels == 6 + extra and not channels_first:
            yield Layout(Family.END_TO_END, labels, channels_first)


def _objectness(rows: Array, classes: int) -> Candidates:
    return Candidates(from_centers(rows), rows[:, 4:5] * rows[:, 5 : 5 + classes])


def _dense(rows: Array, classes: int) -> Candidates:
    return Candidates(from_centers(rows), rows[:, 4 : 4 + classes])


def _end_to_end(rows: Array, classes: int) -> Candidates:
    del classes
    return Candidates(rows[:, :4], rows[:, 4], class_numbers(rows[:, 5]), needs_nms=False)


READERS: dict[Family, Callable[[Array, int], Candidates]] = {
    Family.OBJECTNESS: _objectness,
    Family.DENSE: _dense,
    Family.END_TO_END: _end_to_end,
}
