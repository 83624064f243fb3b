"""Masks in the ways that models give them, laid on pixels of the image one at a time."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.activations import sigmoid
from pellucid_server.tasks.decoders.boxes import floats
from pellucid_server.types import Array, Box, Size


class Window(NamedTuple):
    """Rows and columns of an image."""

    rows: slice
    columns: slice

    @property
    def pixels(self) -> int:
        """How many there are."""
        return len(_indices(self.rows)) * len(_indices(self.columns))


class Masks(Protocol):
    """A mask for each of N boxes."""

    def take(self, rows: Array) -> Self:
        """Those of these boxes."""

    def window(self, box: Box, image: Size) -> Window:
        """The pixels that the mask of this box can cover."""

    def lay(self, row: int, box: Box, frame: Frame) -> NDArray[np.float32]:
        """Probabilities of one mask over its window; the box is in pixels of the image."""


@dataclass(frozen=True)
class _Rows:
    """An array of which row i belongs to box `rows[i]`; the array is never copied."""

    values: Array
    rows: NDArray[np.intp]

    def take(self, rows: Array) -> Self:
        return replace(self, rows=self.rows[rows])

    def at(self, row: int) -> NDArray[np.float32]:
        """The row of one box."""
        return floats(self.values[self.rows[row]])


@dataclass(frozen=True)
class BoxMasks(_Rows):
    """Masks that fill their boxes, N x height x width, as those of Mask R-CNN.

    Beyond its edge a mask falls to zero within one of its cells (Detectron2 and
    torchvision pad it so); the edges of the mask and of its box correspond.
    https://arxiv.org/abs/1703.06870, section 3.1
    """

    def window(self, box: Box, image: Size) -> Window:
        return window(self._padded(box), image)

    def lay(self, row: int, box: Box, frame: Frame) -> NDArray[np.float32]:
        return sample(np.pad(self.at(row), 1), self._padded(box), self.window(box, frame.image))

    def _padded(self, box: Box) -> Box:
        height, width = self.values.shape[1:]
        across, down = (box.x_max - box.x_min) / width, (box.y_max - box.y_min) / height
        return Box(box.x_min - across, box.y_min - down, box.x_max + across, box.y_max + down)


@dataclass(frozen=True)
class InputMasks(_Rows):
    """Masks over the whole input, N x height x width, of which boxes cut their parts."""

    def window(self, box: Box, image: Size) -> Window:
        return window(box, image)

    def lay(self, row: int, box: Box, frame: Frame) -> NDArray[np.float32]:
        return sample(self.map(row), frame.region, self.window(box, frame.image))

    def map(self, row: int) -> NDArray[np.float32]:
        """Probabilities over the whole input."""
        return self.at(row)


@dataclass(frozen=True)
class PrototypeMasks(InputMasks):
    """Masks as mixtures of prototypes: sigmoid of N x K times K x height x width.

    https://arxiv.org/abs/1904.02689, equation 1
    """

    prototypes: Array

    def map(self, row: int) -> NDArray[np.float32]:
        return sigmoid(np.tensordot(self.at(row), self.prototypes, 1))


def window(box: Box, image: Size) -> Window:
    """The pixels of an image whose centres are in a box."""
    rows, columns = (
        slice(*(math.ceil(min(max(edge, 0), extent) - 0.5) for edge in (low, high)))
        for low, high, extent in (
            (box.y_min, box.y_max, image.height),
            (box.x_min, box.x_max, image.width),
        )
    )
    return Window(rows, columns)


def sample(values: Array, region: Box, where: Window) -> NDArray[np.float32]:
    """Bilinear values of a map at the centres of pixels; `region` is what the map shows.

    Beyond the centres of its outermost cells the map goes on as there.
    """
    below, above, weight = _taps(where.rows, region.y_min, region.y_max, values.shape[0])
    left, right, share = _taps(where.columns, region.x_min, region.x_max, values.shape[1])
    lines = values[:, left] + share * (values[:, right] - values[:, left])
    return floats(lines[below] + weight[:, None] * (lines[above] - lines[below]))


def _indices(where: slice) -> range:
    return range(where.start, where.stop)


def _taps(pixels: slice, low: float, high: float, cells: int) -> tuple[Array, Array, Array]:
    """For each pixel the two nearest cells of an axis, and the weight of the second."""
    centers = np.arange(pixels.start, pixels.stop) + 0.5
    places = ((centers - low) * (cells / (high - low)) - 0.5).clip(0, cells - 1)
    first = places.astype(np.intp)
    weights = (places - first).astype(np.float32)
    return first, np.minimum(first + 1, cells - 1), weights
