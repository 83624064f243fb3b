"""How close a map is to its limit, from how much the strata of masks differ."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.masks import MaskBlock, MaskTables

Real = NDArray[np.float64]

STRATA = 4
"""Fewest strata that an estimate rests on."""
CAUTION = 0.75
"""Noise is counted 1 + CAUTION * sqrt(K / (K - 1)) times, for K strata.

The noise in one map is smooth, a draw with some 20 degrees of freedom: by chance it is half
as much again as expected, and a run that stops as soon as it may picks out just those. 0.75
was chosen on EfficientNet's runs in docs/mask-designs.md, and holds on NanoDet's.
"""


@dataclass
class Convergence:
    """The correlation of the maps with their limits, estimated from independent strata.

    Were |A|^2 = |T|^2 + |E|^2 the spatial variances of the map, of its limit and of the
    error, the correlation would be sqrt(1 - |E|^2 / |A|^2); |E|^2 is the variance between the
    maps of K strata, divided by K. That is the split-half estimate of Spearman and Brown
    over all splits at once. Maps are followed on a lattice, where they cost next to nothing.
    """

    tables: MaskTables
    stratum: int
    centred: bool
    targets: int
    prob: float = 0.5
    done: int = 0
    strata: int = 0
    scores: Real = field(init=False)

    def __post_init__(self) -> None:
        self.tables = self.tables.thinned()
        points = int(np.prod(self.tables.size))
        self.scores = np.zeros(self.targets)
        self._estimates: tuple[float | None, ...] = (None,) * self.targets
        self._spreads: tuple[float | None, ...] = (None,) * self.targets
        self._open = np.zeros((self.targets + 1, points))
        self._sums = np.zeros((self.targets + 1, points))
        # Squared norms of the strata's sums, and products with those of the visible share.
        self._squares = np.zeros(self.targets + 1)
        self._products = np.zeros(self.targets + 1)

    def add(self, block: MaskBlock, scores: NDArray[np.float32]) -> None:
        """Adds the masks that come next with their scores, masks x targets."""
        masks = block.render(self.tables).reshape(len(block), -1)
        weights = np.column_stack([scores, np.ones(len(block), np.float32)])
        self._open += weights.T @ masks
        self.scores += scores.sum(0, dtype=np.float64)
        self.done += len(block)
        if self.done % self.stratum == 0:
            self._close()

    def _close(self) -> None:
        centred = self._open - self._open.mean(1, keepdims=True)
        self._sums += centred
        self._squares += (centred**2).sum(1)
        self._products += centred @ centred[-1]
        self._open[:] = 0
        self.strata += 1
        if self.strata >= STRATA:
            self._estimate()

    def correlations(self) -> tuple[float | None, ...]:
        """A lower bound for each target; None for fewer than `STRATA` strata."""
        return self._estimates

    def standard_errors(self) -> tuple[float | None, ...]:
        """Root mean square over the pixels of each map, in its unit, but for its mean level."""
        return self._spreads

    def _estimate(self) -> None:
        level = self.scores / self.done if self.centred else np.zeros(self.targets)
        total = self._at(level, (self._sums**2).sum(1), self._sums @ self._sums[-1])
        within = self._at(level, self._squares, self._products)
        noise = (within - total / self.strata) / (self.strata - 1) * self.strata
        caution = 1 + CAUTION * math.sqrt(self.strata / (self.strata - 1))
        share = np.divide(caution * noise, total, out=np.ones_like(total), where=total > 0)
        self._estimates = tuple(float(value) for value in np.sqrt(np.clip(1 - share, 0, 1)))
        points = self._sums.shape[1]
        spreads = np.sqrt(np.maximum(noise, 0) / points) / (self.done * self.prob)
        self._spreads = tuple(float(value) for value in spreads)

    @staticmethod
    def _at(level: Real, squares: Real, products: Real) -> Real:
        """|a - b v|^2 from |a|^2, a v and |v|^2, which stand last."""
        norms: Real = squares[:-1] - 2 * level * products[:-1] + level**2 * squares[-1]
        return norms
