"""Predictions, typed by task: frozen values that read well in a terminal and a notebook."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid import _html
from pellucid.types import Array, Box, Category, Size, Timing


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What every prediction carries.

    `input_size` is that of the upright image, `None` where tensors were sent;
    `outputs` are the model's own, where asked for.
    """

    model: str = ""
    version: str = ""
    input_size: Size | None = None
    timing: Timing = field(default_factory=Timing)
    outputs: Mapping[str, Array] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationResult(Result):
    """Classes, highest confidence first; multi-label confidences need not sum to 1."""

    categories: tuple[Category, ...]
    multi_label: bool = False

    @property
    def top(self) -> Category:
        """The most confident class.

        Raises:
            LookupError: no class reached `min_confidence`.
        """
        if not self.categories:
            raise LookupError("no class reached min_confidence")
        return self.categories[0]

    def __repr__(self) -> str:
        return f"ClassificationResult({', '.join(map(repr, self.categories))})"

    def _repr_html_(self) -> str:
        rows = [(each.name, f"{each.confidence:.1%}") for each in self.categories]
        return _html.table(("class", "confidence"), rows)


@dataclass(frozen=True)
class Detection:
    """An object: where it is and what."""

    box: Box
    category: Category

    @property
    def label(self) -> str:
        """Its class's name."""
        return self.category.name

    @property
    def confidence(self) -> float:
        """In [0, 1]."""
        return self.category.confidence

    @property
    def class_id(self) -> int:
        """Index of its class in the model's output."""
        return self.category.class_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.category!r}, {self.box!r})"


@dataclass(frozen=True, repr=False, eq=False)
class Instance(Detection):
    """An object with its mask: booleans, height x width of the image."""

    mask: NDArray[np.bool_]
    rle: str = ""
    """The mask as COCO's compressed run lengths."""

    @property
    def pixels(self) -> int:
        """How many pixels it covers."""
        return int(self.mask.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionResult(Result):
    """Objects, highest confidence first."""

    detections: tuple[Detection, ...]

    def __repr__(self) -> str:
        return f"DetectionResult({_counted(self.detections)})"

    def _repr_html_(self) -> str:
        return _objects_table(self.detections)


@dataclass(frozen=True, kw_only=True, eq=False)
class InstanceSegmentationResult(Result):
    """Objects with masks, highest confidence first."""

    instances: tuple[Instance, ...]

    def __repr__(self) -> str:
        return f"InstanceSegmentationResult({_counted(self.instances)})"

    def _repr_html_(self) -> str:
        return _objects_table(self.instances)


@dataclass(frozen=True)
class ClassArea:
    """How much of the image a class covers; `color` is red, green, blue."""

    category: Category
    pixels: int
    share: float
    color: tuple[int, int, int]

    @property
    def label(self) -> str:
        """The class's name."""
        return self.category.name

    def __repr__(self) -> str:
        return f"{self.label} {self.share:.1%}"


@dataclass(frozen=True, kw_only=True, eq=False)
class SemanticSegmentationResult(Result):
    """The class of every pixel (height x width of the image), and the classes by area."""

    label_map: NDArray[np.uint8] | NDArray[np.uint16]
    areas: tuple[ClassArea, ...]

    def __repr__(self) -> str:
        return f"SemanticSegmentationResult({', '.join(map(repr, self.areas))})"

    def _repr_html_(self) -> str:
        rows = [(each.label, f"{each.pixels}", f"{each.share:.1%}") for each in self.areas]
        return _html.table(("class", "pixels", "share"), rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageResult(Result):
    """A picture, as encoded bytes; `image` opens it, `np.asarray(result)` is its pixels."""

    data: bytes = field(repr=False)
    media_type: str
    size: Size

    @cached_property
    def image(self) -> Image.Image:
        """The picture."""
        image = Image.open(io.BytesIO(self.data))
        image.load()
        return image

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 - NumPy's protocol
        if copy is False:
            raise ValueError("the pixels of an ImageResult are always a copy")
        return np.array(self.image, dtype=dtype)

    def __repr__(self) -> str:
        return f"ImageResult({self.size.width} x {self.size.height}, {self.media_type})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, bytes]:
        return {self.media_type: self.data}


@dataclass(frozen=True, kw_only=True, eq=False)
class RegressionResult(Result):
    """Numbers, in the order of the model's output."""

    values: tuple[float, ...]

    def __repr__(self) -> str:
        return f"RegressionResult({', '.join(f'{each:.6g}' for each in self.values)})"

    def _repr_html_(self) -> str:
        rows = [(f"{index}", f"{each:.6g}") for index, each in enumerate(self.values)]
        return _html.table(("output", "value"), rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class RawResult(Result):
    """The model's outputs by name; also `result["name"]`."""

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]

    def __repr__(self) -> str:
        return f"RawResult({_described(self.outputs)})"


AnyResult = (
    ClassificationResult
    | DetectionResult
    | InstanceSegmentationResult
    | SemanticSegmentationResult
    | ImageResult
    | RegressionResult
    | RawResult
)


def _described(outputs: Mapping[str, Array]) -> str:
    return ", ".join(
        f"{name}: {array.dtype} {'x'.join(map(str, array.shape))}"
        for name, array in outputs.items()
    )


def _counted(objects: tuple[Detection, ...]) -> str:
    counts: dict[str, int] = {}
    for each in objects:
        counts[each.label] = counts.get(each.label, 0) + 1
    return ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"


def _objects_table(objects: tuple[Detection, ...]) -> str:
    rows = [
        (each.label, f"{each.confidence:.1%}", ", ".join(f"{edge:.0f}" for edge in each.box))
        for each in objects
    ]
    return _html.table(("class", "confidence", "box"), rows)
