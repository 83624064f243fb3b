"""Masks from the rows of a Hadamard matrix, each followed by its complement."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.designs.base import BLOCK, Design
from pellucid_server.explain.masks import MaskBlock

STEPS = 0.7548776662466927, 0.5698402909980532
"""Roberts' R2 sequence: 1 / g and 1 / g^2, g the real root of g^3 = g + 1."""


@cache
def sylvester(order: int) -> NDArray[np.uint8]:
    """Sylvester's Hadamard matrix with bits for signs; the order is a power of two."""
    if order == 1:
        return np.zeros((1, 1), np.uint8)
    half = sylvester(order // 2)
    return np.block([[half, half], [half, 1 - half]])


@dataclass(frozen=True)
class Hadamard(Design):
    """Folded two-level designs (Plackett & Burman 1946; Box & Hunter 1961), `prob` 0.5.

    A stratum has one shift. Each of its runs is a row of a Hadamard matrix, whose columns are
    the cells, in random order and with random signs; the run's complement follows it. So every
    cell is visible in half the masks and orthogonal to every other, and what pairs of cells do
    together cancels: none of it is noise in the map, as it is with independent masks.
    """

    centred: ClassVar[bool] = True

    @property
    def order(self) -> int:
        """The least power of two that has a column for each cell, and 16 at least."""
        return max(BLOCK // 2, 1 << (self.cells**2 - 1).bit_length())

    @property
    def stratum(self) -> int:
        return 2 * self.order

    def block(self, start: int) -> MaskBlock:
        index, first = divmod(start, self.stratum)
        grids, shift = _stratum(self, index)
        return MaskBlock(start, grids[first : first + BLOCK], np.tile(shift, (BLOCK, 1)))

    def shift(self, index: int) -> NDArray[np.int32]:
        """That of a stratum: uniform for each alone, evenly spread for those that follow."""
        spread = (self.random(0, stream=1).random(2) + index * np.asarray(STEPS)) % 1
        return np.asarray(np.floor(spread * self.shifts), np.int32)


@lru_cache(maxsize=8)
def _stratum(design: Hadamard, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    cells, random = design.cells, design.random(index)
    columns = random.permutation(design.order)[: cells**2]
    runs = sylvester(design.order)[random.permutation(design.order)][:, columns]
    runs ^= random.integers(0, 2, cells**2, np.uint8)
    folded = np.stack([runs, 1 - runs], 1).reshape(-1, cells, cells)
    return folded, design.shift(index)
