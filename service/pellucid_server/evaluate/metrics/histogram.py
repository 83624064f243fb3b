"""Histograms of confidences: memory is that of their bins."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.report import Curve

BINS = 20
"""Of a histogram that people look at."""


@dataclass
class Histogram:
    """Counts in equal bins from 0 to `top`, each without its left edge but for the first.

    A value beyond the ends counts in the bin at that end.
    """

    bins: int = BINS
    top: float = 1.0
    counts: NDArray[np.int64] = field(init=False)
    edges: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.bins, np.int64)
        self.edges = np.linspace(0, self.top, self.bins + 1)

    def place(self, value: float) -> int:
        """The bin of a value."""
        return int(np.searchsorted(self.edges[1:-1], value))

    def add(self, value: float) -> None:
        """Counts a value."""
        self.counts[self.place(value)] += 1

    def add_all(self, values: NDArray[np.floating]) -> None:
        """Counts values."""
        places = np.searchsorted(self.edges[1:-1], values)
        self.counts += np.bincount(places, minlength=self.bins)

    def curve(self, name: str, label: str) -> Curve:
        """The left edges and the counts."""
        counts = tuple(self.counts.tolist())
        x = tuple(self.edges[:-1].tolist())
        return Curve(name, label, x, tuple(map(float, counts)), counts)
