import math
from collections import Counter
from dataclasses import dataclass, field

STEP = math.log(1.005)


@dataclass
class Median:
    """The median of a stream of times, to half a percent: memory is that of their spread."""

    _counts: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Counts a time; 0: it was not measured."""
        if seconds > 0:
            self._counts[round(math.log(seconds) / STEP)] += 1

    @property
    def value(self) -> float:
        """The lower median; NaN of nothing."""
        left = (self._counts.total() + 1) // 2
        for place in sorted(self._counts):
            left -= self._counts[place]
            if left <= 0:
                return math.exp(place * STEP)
        return math.nan
