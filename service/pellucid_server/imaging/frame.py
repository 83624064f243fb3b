import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid_server.imaging.resample import Interpolation, resample
from pellucid_server.types import Array, Box, Size

CLOSE = 1e-6
"""How near to a whole cell or pixel counts as whole."""


@dataclass(frozen=True)
class Frame:
    """How a model's input lies on the image: `region` is what the input shows.

    The region is in pixels of the image: less than the image where the input is a
    crop, more where the image was padded.
    """

    image: Size
    input: Size
    region: Box

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels per input pixel: horizontally, vertically."""
        return (
            (self.region.x_max - self.region.x_min) / self.input.width,
            (self.region.y_max - self.region.y_min) / self.input.height,
        )

    def to_image(self, boxes: Array) -> Array:
        """Boxes of N x 4 (x_min, y_min, x_max, y_max), from input pixels to image pixels.

        They are clipped to the image.
        """
        offset = (self.region.x_min, self.region.y_min) * 2
        bounds = (self.image.width, self.image.height) * 2
        moved = np.asarray(boxes, np.float64).reshape(-1, 4) * (self.scale * 2) + offset
        return moved.clip(0, bounds)

    def place(
        self, values: Array, fill: float = 0, interpolation: Interpolation = "linear"
    ) -> Array:
        """Lays a map of the whole input, of any resolution, on the image.

        Takes height x width (x at most 4 channels) of uint8 or float32 and gives the
        same at the image's size, `fill` outside the region. `nearest` keeps labels whole.
        """
        box, (height, width) = self.region, values.shape[:2]
        y = _axis(box.y_min, box.y_max, self.image.height, height)
        x = _axis(box.x_min, box.x_max, self.image.width, width)
        patch = _patch(values[y.first : y.last, x.first : x.last], x, y, interpolation)
        if patch.shape[:2] == self.image:
            return patch
        placed = np.full((*self.image, *values.shape[2:]), fill, values.dtype)
        placed[y.begin : y.end, x.begin : x.end] = patch
        return placed


@dataclass(frozen=True)
class _Axis:
    """One direction of `place`: which cells of the map lie on which pixels of the image."""

    first: int
    last: int
    low: float
    high: float
    """Where these cells start and end, in pixels of the image."""
    begin: int
    end: int
    """The pixels whose centres the region has."""

    @property
    def aligned(self) -> bool:
        return abs(self.low - self.begin) < CLOSE and abs(self.high - self.end) < CLOSE

    @property
    def pixels(self) -> int:
        return self.end - self.begin

    def places(self, cells: int) -> NDArray[np.float64]:
        """For every pixel's centre, where it lies among the centres of so many cells."""
        centres = np.arange(self.begin, self.end) + 0.5 - self.low
        return (centres * cells / (self.high - self.low) - 0.5).clip(0, cells - 1)


def _axis(low: float, high: float, extent: int, cells: int) -> _Axis:
    step = (high - low) / cells
    first = max(0, math.floor(-low / step + CLOSE))
    last = min(cells, math.ceil((extent - low) / step - CLOSE))
    begin, end = (math.ceil(edge - 0.5 - CLOSE) for edge in (max(low, 0), min(high, extent)))
    return _Axis(first, last, low + first * step, low + last * step, begin, end)


def _patch(values: Array, x: _Axis, y: _Axis, interpolation: Interpolation) -> Array:
    if x.aligned and y.aligned:
        return resample(values, Size(y.pixels, x.pixels), interpolation)
    if interpolation == "nearest":
        return values.take(_cells(y, len(values)), 0).take(_cells(x, values.shape[1]), 1)
    values = resample(values, Size(_coarse(y), _coarse(x)), interpolation)
    looked_up = _looked_up(_looked_up(values, y).swapaxes(0, 1), x).swapaxes(0, 1)
    whole = np.issubdtype(values.dtype, np.integer)
    return (np.rint(looked_up) if whole else looked_up).astype(values.dtype)


def _cells(axis: _Axis, cells: int) -> NDArray[np.intp]:
    """For every pixel, the cell in which its centre lies."""
    return np.rint(axis.places(cells)).astype(np.intp)


def _looked_up(values: Array, axis: _Axis) -> Array:
    """Interpolates the first dimension at the centres of the pixels."""
    places = axis.places(len(values))
    below = places.astype(np.intp)
    above = np.minimum(below + 1, len(values) - 1)
    share = (places - below).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return values[below] * (1 - share) + values[above] * share


def _coarse(axis: _Axis) -> int:
    """Cells no finer than the image's pixels, so that looking up skips none."""
    return max(1, min(axis.last - axis.first, round(axis.high - axis.low)))
