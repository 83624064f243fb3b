"""Explanations: events of a running one, and the maps it ends with."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.types import Box, Category, ParameterValue, Size

HIGHEST = 0xFFFF
"""Level of a map's greatest value."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to explain.

    A class (or a number of a regression) by its `label` or its `class_id`; an object by its
    place among those of `predict`, `detection`; what is in a `box` of the image, alone or
    with a class.
    """

    label: str | None = None
    class_id: int | None = None
    detection: int | None = None
    box: Sequence[float] | None = None


@dataclass(frozen=True)
class Overlay:
    """How the server draws a map over its image.

    `color_map` is viridis, inferno, magma, plasma, cividis or turbo; `opacity`, in
    (0, 1], is that of the colours over the photo; `format` is png or jpeg.
    """

    color_map: str = "inferno"
    opacity: float = 0.6
    legend: bool = True
    format: str = "png"


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """A map: float32, rows x columns, as the method defines it.

    `region` is the rectangle of the upright image that it covers: less than the image
    where the model sees a centre crop, more where it is padded.
    """

    stored: NDArray[np.float32] | NDArray[np.uint16]
    """As it came: the values, or levels of 16 bits from the least of them to the greatest."""
    region: Box
    standard_errors: NDArray[np.float32] | None = None
    """The standard error of every value, where the method can tell."""
    span: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest value, of levels."""

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The map itself; of levels it is made on first use, so that many take little memory."""
        if self.stored.dtype != np.uint16:
            return self.stored.astype(np.float32, copy=False)
        low, high = self.span
        values = self.stored.astype(np.float32)
        values *= np.float32((high - low) / HIGHEST)
        values += np.float32(low)
        return values

    def on_image(self, size: Size) -> NDArray[np.float32]:
        """The map at the image's pixels, height x width; NaN where the model saw nothing.

        Bilinear; a pixel counts as seen where its centre lies in `region`.
        """
        width, height = size
        left, right = _covered(self.region.x_min, self.region.x_max, width)
        top, bottom = _covered(self.region.y_min, self.region.y_max, height)
        placed = np.full((height, width), np.nan, np.float32)
        if left < right and top < bottom:
            window = self._window(left, top, right, bottom)
            resized = Image.fromarray(self.values).resize(
                (right - left, bottom - top), Image.Resampling.BILINEAR, box=window
            )
            placed[top:bottom, left:right] = np.asarray(resized)
        return placed

    def _window(self, left: int, top: int, right: int, bottom: int) -> Box:
        """The rectangle of the map, in its own cells, behind a rectangle of the image."""
        rows, columns = self.stored.shape
        x_scale = columns / (self.region.x_max - self.region.x_min)
        y_scale = rows / (self.region.y_max - self.region.y_min)
        return Box(
            min(max((left - self.region.x_min) * x_scale, 0), columns),
            min(max((top - self.region.y_min) * y_scale, 0), rows),
            min(max((right - self.region.x_min) * x_scale, 0), columns),
            min(max((bottom - self.region.y_min) * y_scale, 0), rows),
        )

    def __repr__(self) -> str:
        rows, columns = self.values.shape
        return f"SaliencyMap({rows} x {columns}, {self.values.min():.3g}..{self.values.max():.3g})"


@dataclass(frozen=True)
class Convergence:
    """How well a map is known.

    `correlation` estimates that with the map of infinitely many units; `standard_error` is
    the root mean square over the map's pixels, in the map's unit.
    """

    correlation: float
    standard_error: float


@dataclass(frozen=True)
class Accepted:
    """First event: what will be done, with every parameter as it will be used."""

    model: str
    version: str
    method: str
    parameters: Mapping[str, ParameterValue]
    targets: tuple[Category, ...]
    total: int
    map_size: Size
    input_size: Size
    boxes: tuple[Box | None, ...] = ()
    """Where each target is; `None`: it has no place of its own."""


@dataclass(frozen=True)
class Progress:
    """How far the work is; times in seconds.

    `partial_maps`, one for each target, come where `partial_maps` was asked for.
    """

    done: int
    total: int
    elapsed: float
    remaining: float
    units_per_second: float
    partial_maps: tuple[SaliencyMap, ...] = ()
    convergence: tuple[Convergence, ...] = ()
    """Of each target's map; empty while too little is done to tell."""

    @property
    def fraction(self) -> float:
        """In [0, 1]."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """The explanation of one target.

    `parameters` holds every parameter as it was used, the seed among them: enough to
    repeat the map; `evaluations` counts the runs of the model for all targets together.
    """

    target: Category
    map: SaliencyMap
    input_size: Size
    model: str
    version: str
    method: str
    parameters: Mapping[str, ParameterValue]
    evaluations: int
    precision: str
    elapsed: float
    convergence: Convergence | None = None
    box: Box | None = None
    """Where the target is: an object or a patch."""
    overlay_data: bytes | None = field(default=None, repr=False)
    overlay_media_type: str = "image/png"

    @property
    def saliency_map(self) -> NDArray[np.float32]:
        """The map: float32, at the rows and columns of the model's input."""
        return self.map.values

    @property
    def region(self) -> Box:
        """The rectangle of the upright image that the map covers."""
        return self.map.region

    def on_image(self) -> NDArray[np.float32]:
        """The map at the image's pixels, height x width; NaN where the model saw nothing."""
        return self.map.on_image(self.input_size)

    @cached_property
    def overlay(self) -> Image.Image | None:
        """The map drawn over the image, where `overlay` was asked for."""
        if self.overlay_data is None:
            return None
        image = Image.open(io.BytesIO(self.overlay_data))
        image.load()
        return image

    def __repr__(self) -> str:
        place = f" in {self.box!r}" if self.box else ""
        return (
            f"Explanation({self.target!r}{place}, {self.method}, {self.map!r}, "
            f"{self.evaluations} evaluations, {self.elapsed:.1f} s)"
        )

    def _repr_html_(self) -> str:
        caption = f"<p>{escape(repr(self))}</p>"
        if self.overlay_data is None:
            return caption
        encoded = base64.b64encode(self.overlay_data).decode()
        return f'<img src="data:{escape(self.overlay_media_type)};base64,{encoded}">{caption}'


Event = Accepted | Progress | Explanation


def _covered(start: float, end: float, extent: int) -> tuple[int, int]:
    """Pixels whose centres lie in [start, end), within an image of that extent."""
    first, last = math.ceil(start - 0.5), math.ceil(end - 0.5)
    return max(first, 0), min(last, extent)
