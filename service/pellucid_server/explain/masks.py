"""Random masks as small grids: upsampled and shifted by two matrix products."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_server.types import Size

Masks = NDArray[np.float32]
"""Masks x height x width, in [0, 1]: 1 where the image shows."""
Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]

BLOCK = 32
"""Masks are drawn and added up in blocks of this many, whatever the device's batch."""


def _linear(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(0, 1 - np.abs(distance)))


def _cubic(distance: NDArray[np.float64], a: float = -0.75) -> NDArray[np.float64]:
    """Keys' kernel with OpenCV's constant (Keys 1981, eq. 4)."""
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


KERNELS: dict[str, tuple[Kernel, int]] = {
    "linear": (_linear, 1),
    "cubic": (_cubic, 2),
}
"""Kernel by distance in cells, and how many cells it reaches to each side."""


def upsampling(cells: int, pixels: int, interpolation: str) -> NDArray[np.float32]:
    """The matrix, pixels x cells, that resizes a row of cells with half-pixel centres.

    Cells beyond the border repeat the border, as in OpenCV's `resize`.
    """
    centres = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    matrix = np.zeros((pixels, cells))
    if interpolation == "nearest":
        taps = [(np.floor(centres + 0.5).astype(int), np.ones(pixels))]
    else:
        kernel, reach = KERNELS[interpolation]
        first = np.floor(centres).astype(int)
        neighbours = [first + offset for offset in range(1 - reach, reach + 1)]
        taps = [(cell, kernel(centres - cell)) for cell in neighbours]
    for cell, weight in taps:
        np.add.at(matrix, (np.arange(pixels), np.clip(cell, 0, cells - 1)), weight)
    return matrix.astype(np.float32)


@dataclass(frozen=True)
class RandomGrids:
    """RISE's masks (arXiv 1806.07421, sec. 3.2): mask i depends on (seed, i) alone.

    A grid of `cells` x `cells` Bernoulli(`prob`) bits is upsampled to (cells + 1) times
    the cell's size C = ceil(side / cells), and cropped at a shift in [0, C). Each axis has
    its own C and shift.
    """

    size: Size
    cells: int
    prob: float
    seed: int
    interpolation: str = "linear"

    def blocks(self, count: int) -> Iterator[Masks]:
        """Masks 0 to `count`, in blocks of at most `BLOCK`."""
        for start in range(0, count, BLOCK):
            yield self._block(start)[: count - start]

    def _block(self, start: int) -> Masks:
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, start]))
        grids = random.random((BLOCK, self.cells, self.cells), np.float32) < self.prob
        shifts = random.integers(0, [self._cell(side) for side in self.size], (BLOCK, 2))
        rows, columns = (table[shift] for table, shift in zip(self._tables, shifts.T, strict=True))
        masks: Masks = rows @ grids.astype(np.float32) @ columns.transpose(0, 2, 1)
        np.clip(masks, 0, 1, out=masks)
        return masks

    @cached_property
    def _tables(self) -> tuple[NDArray[np.float32], ...]:
        """For each axis shifts x pixels x cells: a mask is rows[dy] @ grid @ columns[dx].T."""
        return tuple(self._table(side) for side in self.size)

    def _table(self, side: int) -> NDArray[np.float32]:
        cell = self._cell(side)
        matrix = upsampling(self.cells, (self.cells + 1) * cell, self.interpolation)
        return np.stack([matrix[shift : shift + side] for shift in range(cell)])

    def _cell(self, side: int) -> int:
        return -(-side // self.cells)
