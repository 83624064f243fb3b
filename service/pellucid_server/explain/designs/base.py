"""What a design of masks is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid_server.explain.masks import MaskBlock

BLOCK = 32
"""Masks are handed out in blocks of this many, whatever the device's batch."""


@dataclass(frozen=True)
class Design(ABC):
    """Which masks are drawn: mask i depends on the fields and on i alone.

    In every design each mask alone is distributed as in the paper, so that all designs have
    the same limit; they differ in how the masks of a stratum depend on each other.
    """

    centred: ClassVar[bool]
    """Whether the mean score is a control variate of the estimator."""

    cells: int
    shifts: tuple[int, int]
    """How many shifts there are along each axis."""
    prob: float
    seed: int

    @property
    @abstractmethod
    def stratum(self) -> int:
        """Masks that are drawn together, a multiple of `BLOCK`; strata are independent."""

    @abstractmethod
    def block(self, start: int) -> MaskBlock:
        """The `BLOCK` masks from `start` on, a multiple of `BLOCK`."""

    def blocks(self, count: int) -> Iterator[MaskBlock]:
        """Masks 0 to `count`, in blocks of at most `BLOCK`."""
        for start in range(0, count, BLOCK):
            yield self.block(start)[: count - start]

    def random(self, index: int, stream: int = 0) -> np.random.Generator:
        """Random numbers that depend on the seed, the index and the stream alone."""
        return np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, stream, index]))
