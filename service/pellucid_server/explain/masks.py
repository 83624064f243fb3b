"""Masks as small grids: upsampled and shifted by two matrix products, here or on the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid_server.types import Size

Masks = NDArray[np.float32]
"""Masks x height x width, in [0, 1]: 1 where the image shows."""
Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LATTICE = 2
"""Points along a cell's side that are enough to follow a map, which is as smooth as its masks."""


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


@dataclass(frozen=True, eq=False)
class MaskTables:
    """What every mask of a call is rendered with: mask = rows[dy] @ grid @ columns[dx].T."""

    rows: NDArray[np.float32]
    """Shifts x height x cells."""
    columns: NDArray[np.float32]
    """Shifts x width x cells."""
    clip: bool = False
    """Whether masks are cut to [0, 1] afterwards: only kernels that overshoot need it."""

    @classmethod
    def of(cls, size: Size, cells: int, interpolation: str = "linear") -> "MaskTables":
        """RISE's (arXiv 1806.07421, sec. 3.2), for grids of `cells` x `cells`.

        A grid becomes (cells + 1) times the cell's size C = ceil(side / cells), and is cropped
        at a shift in [0, C). Each axis has its own C and shift.
        """
        rows, columns = (_table(side, cells, interpolation) for side in size)
        return cls(rows, columns, clip=interpolation == "cubic")

    @property
    def size(self) -> Size:
        return Size(self.rows.shape[1], self.columns.shape[1])

    @property
    def shifts(self) -> tuple[int, int]:
        """How many shifts there are along each axis."""
        return len(self.rows), len(self.columns)

    def thinned(self) -> "MaskTables":
        """The same masks on every few rows and columns, `LATTICE` to a cell."""
        down, right = (max(1, shifts // LATTICE) for shifts in self.shifts)
        return MaskTables(
            np.ascontiguousarray(self.rows[:, ::down]),
            np.ascontiguousarray(self.columns[:, ::right]),
            self.clip,
        )


def _table(side: int, cells: int, interpolation: str) -> NDArray[np.float32]:
    cell = -(-side // cells)
    matrix = upsampling(cells, (cells + 1) * cell, interpolation)
    return np.stack([matrix[shift : shift + side] for shift in range(cell)])


@dataclass(frozen=True, eq=False)
class MaskBlock:
    """Masks that follow each other, as they are drawn."""

    start: int
    """Index of the first."""
    grids: NDArray[np.uint8]
    """Masks x cells x cells: 1 where a cell shows."""
    shifts: NDArray[np.int32]
    """Masks x 2: along the rows and along the columns."""

    def __len__(self) -> int:
        return len(self.grids)

    def __getitem__(self, part: slice) -> "MaskBlock":
        first = range(len(self))[part].start
        return MaskBlock(self.start + first, self.grids[part], self.shifts[part])

    @classmethod
    def join(cls, blocks: Sequence["MaskBlock"]) -> "MaskBlock":
        """One block of several that follow each other."""
        grids = np.concatenate([block.grids for block in blocks])
        return cls(blocks[0].start, grids, np.concatenate([block.shifts for block in blocks]))

    def strips(self, tables: MaskTables) -> Masks:
        """Grids upsampled along the rows alone: masks x height x cells."""
        strips: Masks = tables.rows[self.shifts[:, 0]] @ self.grids.astype(np.float32)
        return strips

    def columns(self, tables: MaskTables) -> Masks:
        """What strips are multiplied with to upsample the columns: masks x width x cells."""
        return tables.columns[self.shifts[:, 1]]

    def render(self, tables: MaskTables) -> Masks:
        """Masks x height x width."""
        masks: Masks = self.strips(tables) @ self.columns(tables).transpose(0, 2, 1)
        return np.clip(masks, 0, 1, out=masks) if tables.clip else masks
