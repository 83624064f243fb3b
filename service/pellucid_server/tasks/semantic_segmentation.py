from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.activations import probabilities, sigmoid, softmax
from pellucid_server.tasks.base import Prepared, TaskModel, register
from pellucid_server.tasks.objectives import Wanted
from pellucid_server.tasks.objectives.areas import Areas, Probability, Segments
from pellucid_server.tasks.options import Options, read_options
from pellucid_server.tasks.planes import Layout, channel_axis, channels_first
from pellucid_server.types import (
    Array,
    Category,
    ClassArea,
    Image,
    Outputs,
    Port,
    SemanticSegmentationParameters,
    SemanticSegmentationResult,
    Task,
)

MOST_BYTES = 2**31 - 1
"""What one message can hold."""
CLASSES = 2**16
"""A label map is 16 bits deep."""


class SegmentationOptions(Options):
    """How a class for every pixel is read."""

    type: Literal["logits", "softmax", "binary", "label_map"] = "logits"
    """Scores of classes, their probabilities, one foreground channel, or class numbers."""
    activation: Literal["none", "sigmoid"] = "none"
    """For `binary`: what turns the channel into a probability."""
    layout: Layout | None = None
    """By default found from the labels or the smaller of the dimensions."""
    output: str | None = None
    """The output with the classes; by default the only one."""


@register
@dataclass(frozen=True)
class SemanticSegmentation(TaskModel[SemanticSegmentationParameters, SemanticSegmentationResult]):
    """A class for every pixel; probabilities, not labels, are enlarged to the image."""

    task = Task.SEMANTIC_SEGMENTATION
    parameters = SemanticSegmentationParameters

    def __post_init__(self) -> None:
        self.check_whole_image()
        channels = self.map.shape[self.axis] if self.axis else 1
        if self.options.type in {"logits", "softmax"}:
            self.check_labels(channels, f"output {self.map.name!r}")
        elif channels != 1:
            raise InvalidInput(
                f"output {self.map.name!r} has {channels} channels and decode.type "
                f"{self.options.type} takes one: set logits or softmax",
                field="decode.type",
            )

    @cached_property
    def options(self) -> SegmentationOptions:
        """The `decode` section."""
        return read_options(SegmentationOptions, self.spec.decode)

    @cached_property
    def map(self) -> Port:
        """The output that has the classes."""
        return self.output(self.options.output)

    @cached_property
    def axis(self) -> int | None:
        """The dimension of the classes; None where there is none."""
        return channel_axis(self.map, self.options.layout, len(self.spec.labels))

    def prepare(self, image: Image, parameters: SemanticSegmentationParameters) -> Prepared:
        if not 0 < parameters.threshold < 1:
            raise InvalidInput(
                f"threshold is {parameters.threshold}: give a value between 0 and 1",
                field="semantic_segmentation.threshold",
            )
        if parameters.probabilities and self.options.type == "label_map":
            raise InvalidInput(
                "the model gives classes without probabilities: leave this unset",
                field="semantic_segmentation.probabilities",
            )
        return self.fit(image)

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: SemanticSegmentationParameters
    ) -> SemanticSegmentationResult:
        channels = channels_first(outputs[self.map.name], self.axis)
        if self.options.type == "label_map":
            label_map = prepared.frame.place(_labels(channels[0]), interpolation="nearest")
            return self._result(label_map.astype(np.uint16), np.ones(label_map.shape, np.float32))
        classes = self._probabilities(channels)
        kept = _room(len(classes), prepared.frame) if parameters.probabilities else None
        placed = _placed(classes, prepared.frame, kept)
        if self.options.type == "binary":
            return self._result(*_above(placed, parameters.threshold), kept)
        return self._result(*_highest(placed), kept)

    def objective(
        self,
        outputs: Outputs,
        prepared: Prepared,
        parameters: SemanticSegmentationParameters,
        wanted: Wanted,
    ) -> Areas:
        channels = channels_first(outputs[self.map.name], self.axis)
        count = {"label_map": None, "binary": 2}.get(self.options.type, len(channels))
        segments = Segments(
            self._classes(channels, parameters.threshold),
            self._probability(outputs),
            prepared.frame,
            count,
            self.spec.labels and tuple(map(self.label, range(count or len(self.spec.labels)))),
        )
        return segments.areas(wanted, self._probability)

    def _classes(self, channels: Array, threshold: float) -> NDArray[np.intp]:
        """The class of each pixel of the output."""
        if self.options.type == "label_map":
            return _labels(channels[0]).astype(np.intp)
        classes = self._probabilities(channels)
        if self.options.type == "binary":
            return np.asarray(classes[1] >= threshold, np.intp)
        return np.asarray(classes.argmax(axis=0))

    def _probability(self, outputs: Outputs) -> Probability:
        """Of each class, for the pixels of the output; of a label map 0 or 1."""
        channels = channels_first(outputs[self.map.name], self.axis)
        if self.options.type == "label_map":
            labels = _labels(channels[0])
            return lambda class_id: (labels == class_id).astype(np.float32)
        classes = self._probabilities(channels)
        return lambda class_id: np.asarray(classes[class_id])

    def _probabilities(self, channels: Array) -> Array:
        """Classes x height x width of the output."""
        values = channels.astype(np.float32)
        if self.options.type == "logits":
            return probabilities(softmax(values, axis=0), "")
        if self.options.type == "softmax":
            return probabilities(values, "set decode.type to logits")
        if self.options.activation == "sigmoid":
            values = sigmoid(values)
        foreground = probabilities(values, "set decode.activation to sigmoid")
        return np.concatenate([1 - foreground, foreground])

    def _result(
        self,
        label_map: NDArray[np.uint16],
        confidence: NDArray[np.float32],
        kept: NDArray[np.float32] | None = None,
    ) -> SemanticSegmentationResult:
        flat = label_map.ravel()
        pixels, sums = np.bincount(flat), np.bincount(flat, confidence.ravel())
        areas = (
            self._area(each, int(pixels[each]), float(sums[each]), flat.size)
            for each in np.argsort(-pixels, kind="stable").tolist()
            if pixels[each]
        )
        return SemanticSegmentationResult(label_map, tuple(areas), kept)

    def _area(self, class_id: int, pixels: int, confidence: float, of: int) -> ClassArea:
        mean = min(confidence / pixels, 1.0)
        return ClassArea(Category(class_id, self.label(class_id), mean), pixels, pixels / of)

    def label(self, class_id: int) -> str:
        """The class's name; a single label of a binary model names its foreground."""
        if self.options.type == "binary" and len(self.spec.labels) == 1:
            return ("background", self.spec.labels[0])[class_id]
        return super().label(class_id)


def _room(classes: int, frame: Frame) -> NDArray[np.float32]:
    """Space for every class's probability for every pixel."""
    if 4 * classes * frame.image.height * frame.image.width > MOST_BYTES:
        raise InvalidInput(
            f"{classes} probabilities for each of {frame.image.width} x {frame.image.height} "
            "pixels are more than a message can hold: send a smaller image",
            field="semantic_segmentation.probabilities",
        )
    return np.empty((classes, *frame.image), np.float32)


def _placed(classes: Array, frame: Frame, kept: Array | None) -> Iterator[Array]:
    """Each class's probabilities on the image, one class in memory at a time."""
    for class_id, values in enumerate(classes):
        placed = frame.place(np.ascontiguousarray(values))
        if kept is not None:
            kept[class_id] = placed
        yield placed


def _above(placed: Iterator[Array], threshold: float) -> tuple[Array, Array]:
    """Classes 0 and 1 and their probabilities, for a background and a foreground."""
    background, foreground = placed
    is_foreground = foreground >= threshold
    return is_foreground.astype(np.uint16), np.where(is_foreground, foreground, background)


def _highest(placed: Iterator[Array]) -> tuple[Array, Array]:
    """The most probable class of every pixel, the first of equals, and its probability."""
    best = next(placed).copy()
    label_map = np.zeros(best.shape, np.uint16)
    for class_id, values in enumerate(placed, start=1):
        better = values > best
        label_map[better] = class_id
        np.maximum(best, values, out=best)
    return label_map, best


def _labels(values: Array) -> NDArray[np.float32]:
    """Class numbers as float32, which holds them exactly."""
    labels = np.rint(values).astype(np.float32)
    if not np.isfinite(labels).all() or labels.min() < 0 or labels.max() >= CLASSES:
        raise InferenceFailed(f"the model's label map has values outside 0 to {CLASSES - 1}")
    return labels
