"""Values that every part of the client shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from os import PathLike
from typing import IO, Any, NamedTuple

from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
ParameterValue = bool | int | float | str


class Task(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    INSTANCE_SEGMENTATION = "instance_segmentation"
    SEMANTIC_SEGMENTATION = "semantic_segmentation"
    SUPER_RESOLUTION = "super_resolution"
    STYLE_TRANSFER = "style_transfer"
    INPAINTING = "inpainting"
    RAW = "raw"
    REGRESSION = "regression"
    UNSPECIFIED = "unspecified"

    @property
    def words(self) -> str:
        """Its name in words: `style transfer`."""
        return self.value.replace("_", " ")


@dataclass(frozen=True)
class Uri:
    """An image that the server reads itself: under one of its allowed roots."""

    value: str


ImageLike = (
    str | PathLike[str] | bytes | bytearray | memoryview | Image.Image | Array | IO[bytes] | Uri
)
"""A path, an encoded image, a Pillow image, pixels (uint8, H x W x 3 or H x W), an open
binary file, or a place that the server reads."""

Tensors = Mapping[str, Array]
"""A model's inputs by name, fed without any preprocessing."""

InputLike = ImageLike | Tensors
Inputs = list[Any] | tuple[Any, ...]
"""Several images or tensors."""


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


class Box(NamedTuple):
    """A rectangle in pixels of the upright image; the maxima are exclusive."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __repr__(self) -> str:
        return f"Box({', '.join(f'{edge:g}' for edge in self)})"


@dataclass(frozen=True)
class Category:
    """A class with its confidence in [0, 1]; the label is empty where the model has none."""

    class_id: int
    label: str
    confidence: float

    @property
    def name(self) -> str:
        """The label, or `class 7` where there is none."""
        return self.label or f"class {self.class_id}"

    def __repr__(self) -> str:
        return f"{self.name} {self.confidence:.3f}"


@dataclass(frozen=True)
class Timing:
    """Where the time of a prediction went, in seconds."""

    prepare: float = 0.0
    queue: float = 0.0
    compute: float = 0.0
    postprocess: float = 0.0
