"""Domain data: frozen, transport-free, in the units of the contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Image = NDArray[np.uint8]
"""An upright RGB image, height x width x 3."""

Feeds = Mapping[str, Array]
"""A model's inputs by name, each with its batch dimension."""
Outputs = Mapping[str, Array]
"""A model's outputs by name, each with its batch dimension."""
Infer = Callable[[Feeds], Outputs]
"""Runs a model once."""

ANY = -1
"""A dimension that takes any extent."""


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


class PictureFormat(StrEnum):
    """How a picture is encoded."""

    PNG = "png"
    JPEG = "jpeg"


class Size(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class Port:
    """An input or output of a model; `shape` has `ANY` where the extent is free."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """An operation of the graph whose output can be explained."""

    name: str
    operation: str
    shape: tuple[int, ...]
    default: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; the maxima are exclusive."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True)
class Category:
    """A class with its confidence in [0, 1]."""

    class_id: int
    label: str
    confidence: float


@dataclass(frozen=True)
class ClassificationParameters:
    """`top_k` -1: all classes."""

    top_k: int = 5
    min_confidence: float = 0.0


@dataclass(frozen=True)
class ClassificationResult:
    """Classes, highest confidence first."""

    categories: tuple[Category, ...]
    multi_label: bool = False


@dataclass(frozen=True)
class DetectionParameters:
    """`None` and 0: the model's defaults; no labels: all."""

    confidence_threshold: float | None = None
    iou_threshold: float | None = None
    max_detections: int = 0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Detection:
    """An object."""

    box: Box
    category: Category


@dataclass(frozen=True)
class DetectionResult:
    """Objects, highest confidence first."""

    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class InstanceSegmentationParameters:
    """Which objects, and from which probability a pixel belongs to one."""

    detection: DetectionParameters = field(default_factory=DetectionParameters)
    mask_threshold: float = 0.5


@dataclass(frozen=True)
class Instance:
    """An object with its mask: height x width of the image, boolean."""

    box: Box
    category: Category
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class InstanceSegmentationResult:
    """Objects with masks, highest confidence first."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class SemanticSegmentationParameters:
    """`threshold` is for binary models; `probabilities` asks for all of them."""

    threshold: float = 0.5
    probabilities: bool = False


@dataclass(frozen=True)
class ClassArea:
    """How much of the image a class covers; the confidence is its mean over its pixels."""

    category: Category
    pixels: int
    share: float


@dataclass(frozen=True)
class SemanticSegmentationResult:
    """A class for every pixel of the image, and the classes by area, largest first."""

    label_map: NDArray[np.uint16]
    areas: tuple[ClassArea, ...]
    probabilities: NDArray[np.float32] | None = None
    """Classes x height x width of the image, where asked for."""


@dataclass(frozen=True)
class SuperResolutionParameters:
    """Tiles in pixels of the input."""

    tile_size: int = 256
    tile_overlap: int = 16
    format: PictureFormat = PictureFormat.PNG


@dataclass(frozen=True)
class StyleTransferParameters:
    """At most one of the three styles; none: the model's first."""

    style_index: int | None = None
    style_weights: tuple[float, ...] | None = None
    style_image: Image | None = None
    format: PictureFormat = PictureFormat.PNG


@dataclass(frozen=True)
class InpaintingParameters:
    """What to fill: rectangles in image pixels, and pixels of a boolean mask."""

    rectangles: tuple[Box, ...] = ()
    mask: NDArray[np.bool_] | None = None
    format: PictureFormat = PictureFormat.PNG


@dataclass(frozen=True)
class ImageResult:
    """A picture."""

    image: Image
    format: PictureFormat = PictureFormat.PNG


@dataclass(frozen=True)
class RegressionParameters:
    """There are none."""


@dataclass(frozen=True)
class RegressionResult:
    """Numbers, in the order of the model's output."""

    values: tuple[float, ...]


TaskParameters = (
    ClassificationParameters
    | DetectionParameters
    | InstanceSegmentationParameters
    | SemanticSegmentationParameters
    | SuperResolutionParameters
    | StyleTransferParameters
    | InpaintingParameters
    | RegressionParameters
)
PARAMETERS: Mapping[Task, type[TaskParameters]] = {
    Task.CLASSIFICATION: ClassificationParameters,
    Task.DETECTION: DetectionParameters,
    Task.INSTANCE_SEGMENTATION: InstanceSegmentationParameters,
    Task.SEMANTIC_SEGMENTATION: SemanticSegmentationParameters,
    Task.SUPER_RESOLUTION: SuperResolutionParameters,
    Task.STYLE_TRANSFER: StyleTransferParameters,
    Task.INPAINTING: InpaintingParameters,
}
"""The parameters of each task that has any."""

TaskResult = (
    ClassificationResult
    | DetectionResult
    | InstanceSegmentationResult
    | SemanticSegmentationResult
    | ImageResult
    | RegressionResult
)


@dataclass(frozen=True)
class Timing:
    """Where the time of a prediction went, in seconds."""

    prepare: float = 0.0
    queue: float = 0.0
    compute: float = 0.0
    postprocess: float = 0.0


@dataclass(frozen=True)
class EncodedImage:
    """An image as the caller sent it."""

    data: bytes


@dataclass(frozen=True)
class TensorInput:
    """A model's inputs as they are; the name may be empty for a model of one input."""

    tensors: tuple[tuple[str, Array], ...]


@dataclass(frozen=True)
class Uri:
    """A place under an allowed root."""

    value: str


Source = EncodedImage | TensorInput | Uri
