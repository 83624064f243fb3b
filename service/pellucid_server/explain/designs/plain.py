"""Independent masks, as in the paper."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid_server.explain.designs.base import BLOCK, Design
from pellucid_server.explain.masks import MaskBlock


@dataclass(frozen=True)
class Plain(Design):
    """Grids of Bernoulli(`prob`) bits, a shift for each (arXiv 1806.07421, sec. 3.2)."""

    centred: ClassVar[bool] = False

    @property
    def stratum(self) -> int:
        return BLOCK

    def block(self, start: int) -> MaskBlock:
        random = self.random(start)
        grids = random.random((BLOCK, self.cells, self.cells), np.float32) < self.prob
        shifts = random.integers(0, self.shifts, (BLOCK, 2), np.int32)
        return MaskBlock(start, grids.astype(np.uint8), shifts)


@dataclass(frozen=True)
class Centred(Plain):
    """The same masks; the estimator takes the mean score from each score."""

    centred: ClassVar[bool] = True
