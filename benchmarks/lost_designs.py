"""Designs that were tried and lost: kept so that the table can show by how much."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.designs import BLOCK
from pellucid_server.explain.designs.hadamard import STEPS, Hadamard, sylvester
from pellucid_server.explain.designs.plain import Plain
from pellucid_server.explain.masks import MaskBlock


@dataclass(frozen=True)
class Antithetic(Plain):
    """Independent masks, each followed by its complement under the same shift."""

    centred: ClassVar[bool] = True

    def block(self, start: int) -> MaskBlock:
        drawn = super().block(start)[: BLOCK // 2]
        grids = np.stack([drawn.grids, 1 - drawn.grids], 1).reshape(BLOCK, self.cells, self.cells)
        return MaskBlock(start, grids, np.repeat(drawn.shifts, 2, 0))


@dataclass(frozen=True)
class OwnShifts(Hadamard):
    """Hadamard's runs and complements, but a shift for each pair instead of each stratum."""

    def block(self, start: int) -> MaskBlock:
        pairs = start // 2 + np.arange(BLOCK // 2)[:, None]
        spread = (self.random(0, stream=1).random(2) + pairs * np.asarray(STEPS)) % 1
        shifts = np.floor(spread * self.shifts).astype(np.int32)
        return MaskBlock(start, super().block(start).grids, np.repeat(shifts, 2, 0))


@dataclass(frozen=True)
class Unfolded(Hadamard):
    """Hadamard's runs without their complements: pairs of cells are noise again."""

    @property
    def stratum(self) -> int:
        return self.order

    def block(self, start: int) -> MaskBlock:
        index, first = divmod(start, self.stratum)
        runs = self._runs(index)[first : first + BLOCK]
        return MaskBlock(start, runs, np.tile(self.shift(index), (BLOCK, 1)))

    def _runs(self, index: int) -> NDArray[np.uint8]:
        random = self.random(index)
        columns = random.permutation(self.order)[: self.cells**2]
        runs = sylvester(self.order)[random.permutation(self.order)][:, columns]
        signs = random.integers(0, 2, self.cells**2, np.uint8)
        return (runs ^ signs).reshape(-1, self.cells, self.cells)


LOST = {"antithetic": Antithetic, "hadamard-own-shifts": OwnShifts, "hadamard-unfolded": Unfolded}
