import math
from dataclasses import dataclass

import cv2
import numpy as np

from pellucid_server.imaging.resample import Interpolation, resample
from pellucid_server.types import Array, Box, Size

CLOSE = 1e-6
"""How near to a whole cell or pixel counts as whole."""

WARP_KERNELS: dict[Interpolation, int] = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
}


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

    def lookup(self, cells: int) -> tuple[float, float]:
        """Factor and offset from a pixel's index in the patch to its place among `cells`."""
        factor = cells / (self.high - self.low)
        return factor, (self.begin + 0.5 - self.low) * factor - 0.5


def _axis(low: float, high: float, extent: int, cells: int) -> _Axis:
    step = (high - low) / cells
    first = max(0, math.floor(-low / step + CLOSE))
    last = min(cells, math.ceil((extent - low) / step - CLOSE))
    begin, end = (math.ceil(edge - 0.5 - CLOSE) for edge in (max(low, 0), min(high, extent)))
    return _Axis(first, last, low + first * step, low + last * step, begin, end)


def _patch(values: Array, x: _Axis, y: _Axis, interpolation: Interpolation) -> Array:
    if x.aligned and y.aligned:
        return resample(values, Size(y.pixels, x.pixels), interpolation)
    if interpolation != "nearest":
        values = resample(values, Size(_coarse(y), _coarse(x)), interpolation)
    (x_factor, x_offset), (y_factor, y_offset) = (
        x.lookup(values.shape[1]),
        y.lookup(values.shape[0]),
    )
    lookup = np.array([[x_factor, 0, x_offset], [0, y_factor, y_offset]])
    kernel = WARP_KERNELS[interpolation] | cv2.WARP_INVERSE_MAP
    patch: Array = cv2.warpAffine(
        values, lookup, (x.pixels, y.pixels), flags=kernel, borderMode=cv2.BORDER_REPLICATE
    )
    return patch.reshape(y.pixels, x.pixels, *values.shape[2:])


def _coarse(axis: _Axis) -> int:
    """Cells no finer than the image's pixels, so that looking them up skips none."""
    return max(1, min(axis.last - axis.first, round(axis.high - axis.low)))
