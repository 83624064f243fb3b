"""The Poisson bootstrap: resampling images of a stream, in memory that does not grow with it.

In a resample of n images each is drawn Binomial(n, 1/n) times, which for more than a few
images is Poisson(1), for each on its own: Chamandy et al. 2012, "Estimating uncertainty for
massive data streams", https://research.google/pubs/pub43157/.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""One for each resample."""
Sums = Mapping[Hashable, Values]
"""By key, in every resample; a key that nobody added to is 0."""
Increments = Iterable[tuple[Hashable, float]]
"""What an image adds to sums, by their keys."""

Table = NDArray[np.float64]
"""Images x resamples."""

BLOCK = 256
OFTEN = 16
"""Images of a block from which on a key goes into the product."""
SIDES = 1 << 16
CONFIDENCE = (2.5, 97.5)
"""Percentiles at the ends of the interval."""


def _poisson_table() -> NDArray[np.float64]:
    """How often an image is drawn, by 16 random bits; its mean and variance are 1 to 1e-4."""
    shares = np.exp(-1) / np.array([math.factorial(count) for count in range(12)])
    ends = np.rint(np.cumsum(shares) * SIDES)
    return np.searchsorted(ends, np.arange(SIDES), side="right").astype(np.float64)


DRAWN = _poisson_table()


class Weights:
    """How often each resample draws an image.

    They depend on the seed and the image's index alone: not on the images before it, nor on
    how they come in parts. A pair of evaluations shares them, which is what makes it a pair.
    """

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples = resamples
        self._seed = seed
        self._drawn: dict[int, Table] = {}

    def block(self, number: int) -> Table:
        """Of the `BLOCK` images from number times `BLOCK` on: images x resamples."""
        if number not in self._drawn:
            random = np.random.Generator(np.random.Philox(key=[self._seed, number]))
            bits = random.integers(0, SIDES, (BLOCK, self.resamples), np.uint16)
            # Whoever adds is at the block of the last image or at the one before.
            kept = list(self._drawn.items())[-1:]
            self._drawn = {**dict(kept), number: DRAWN[bits]}
        return self._drawn[number]


class Resampled:
    """Sums over images in every resample, by their keys.

    Images wait until their block is complete: one product of matrices is far cheaper than
    adding each image to a thousand resamples.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._sums: dict[Hashable, Values] = defaultdict(lambda: np.zeros(weights.resamples))
        self._block = 0
        self._waiting: dict[Hashable, list[tuple[int, float]]] = defaultdict(list)

    def add(self, index: int, increments: Increments) -> None:
        """Adds the image of this index."""
        block, place = divmod(index, BLOCK)
        if block != self._block:
            self._flush()
            self._block = block
        for key, value in increments:
            self._waiting[key].append((place, value))

    @property
    def sums(self) -> Sums:
        """The sums so far."""
        self._flush()
        return self._sums

    def _flush(self) -> None:
        drawn = self._weights.block(self._block)
        often = {key: each for key, each in self._waiting.items() if len(each) >= OFTEN}
        values = np.zeros((len(often), BLOCK))
        for row, added in zip(values, often.values(), strict=True):
            for place, value in added:
                row[place] += value
        for key, total in zip(often, values @ drawn, strict=True):
            self._sums[key] += total
        for key, added in self._waiting.items():
            for place, value in added if key not in often else ():
                self._sums[key] += value * drawn[place]
        self._waiting.clear()


class Interval(NamedTuple):
    """The ends of an interval; NaN where it is not known."""

    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


def interval(values: Values) -> Interval:
    """The 95 % percentile interval; resamples in which the figure is not defined do not count."""
    known = values[np.isfinite(values)]
    return Interval(*np.percentile(known, CONFIDENCE).tolist()) if known.size else UNKNOWN
