"""How far confidences are from how often they are right.

Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.
"""

from dataclasses import dataclass, field

from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.metrics.sums import Total
from pellucid_server.evaluate.report import Curve


@dataclass
class Calibration:
    """A reliability diagram in equal bins of confidence, each with its right edge."""

    bins: int = 15
    _right: list[int] = field(init=False)
    _confidence: list[Total] = field(init=False)
    _places: Histogram = field(init=False)

    def __post_init__(self) -> None:
        self._right = [0] * self.bins
        self._confidence = [Total() for _ in range(self.bins)]
        self._places = Histogram(self.bins)

    def add(self, confidence: float, *, correct: bool) -> None:
        """Counts a prediction."""
        place = self._places.place(confidence)
        self._right[place] += correct
        self._confidence[place].add(confidence)

    @property
    def error(self) -> float:
        """Expected calibration error of at least one prediction."""
        count = sum(each.count for each in self._confidence)
        gaps = (
            abs(right - confidence.value)
            for right, confidence in zip(self._right, self._confidence, strict=True)
        )
        return sum(gaps) / count

    def curve(self) -> Curve:
        """Mean confidence, share that is right and count of the bins that have any."""
        filled = [
            (confidence.mean, right / confidence.count, confidence.count)
            for right, confidence in zip(self._right, self._confidence, strict=True)
            if confidence.count
        ]
        x, y, counts = zip(*filled, strict=True) if filled else ((), (), ())
        return Curve("reliability", "", tuple(x), tuple(y), tuple(counts))
