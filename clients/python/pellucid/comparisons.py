"""Comparisons of two evaluations, as the server computes them."""

from dataclasses import dataclass
from math import isfinite

from pellucid import _html
from pellucid.types import Category


@dataclass(frozen=True)
class MetricDelta:
    """A figure of both; `delta` is candidate less baseline.

    `low` and `high` are its 95 % bootstrap interval, `None` where it is not resampled.
    """

    name: str
    baseline: float
    candidate: float
    delta: float
    low: float | None = None
    high: float | None = None
    unit: str = ""

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Flip:
    """An image whose prediction changed; `None`: nothing was predicted, or annotated."""

    index: int
    path: str
    baseline: Category | None
    candidate: Category | None
    annotated: Category | None = None
    change: str = "changed"
    """One of `became wrong`, `became right` and `changed`."""


@dataclass(frozen=True)
class MapCorrelation:
    """How two importance maps of one image agree: Pearson's correlation."""

    index: int
    path: str
    category: Category
    correlation: float


@dataclass(frozen=True)
class ComparedModel:
    """One of the two models; `inference_time` is the median of one inference in seconds."""

    name: str
    version: str
    precision: str
    size_bytes: int
    inference_time: float

    def __repr__(self) -> str:
        return f"ComparedModel({self.name}:{self.version} {self.precision})"


@dataclass(frozen=True)
class Comparison:
    """How a candidate differs from a baseline on one data set."""

    baseline: ComparedModel
    candidate: ComparedModel
    deltas: tuple[MetricDelta, ...]
    images: int
    """Images that both have, and that were compared."""
    became_wrong: int
    became_right: int
    disagreements: int
    """Images for which the two predict different classes, annotated or not."""
    flips: tuple[Flip, ...] = ()
    """Some of the images whose prediction changed, the most confident first."""
    only_baseline: int = 0
    only_candidate: int = 0
    """Images that one alone has, and that were left out."""
    changed_images: int = 0
    """Images or annotations that were changed between the two, and compared nevertheless."""
    confidence_shift: MetricDelta | None = None
    """Of the mean confidence in the class that the baseline predicts."""
    map_correlations: tuple[MapCorrelation, ...] = ()

    @property
    def speedup(self) -> float | None:
        """How many times as fast the candidate is; `None` where it was not measured."""
        return _ratio(self.baseline.inference_time, self.candidate.inference_time)

    @property
    def size_ratio(self) -> float | None:
        """The candidate's size over the baseline's; `None` where one is not known."""
        return _ratio(self.candidate.size_bytes, self.baseline.size_bytes)

    @property
    def map_correlation(self) -> float | None:
        """The mean correlation of the importance maps; `None` where none were compared."""
        found = [each.correlation for each in self.map_correlations if isfinite(each.correlation)]
        return sum(found) / len(found) if found else None

    def __getitem__(self, metric: str) -> MetricDelta:
        try:
            return next(each for each in self.deltas if each.name == metric)
        except StopIteration:
            raise KeyError(metric) from None

    def __repr__(self) -> str:
        return (
            f"Comparison({self.baseline!r} to {self.candidate!r}, {self.images} images, "
            f"{self.became_wrong} became wrong, {self.became_right} right)"
        )

    def _repr_html_(self) -> str:
        rows = [
            (each.name, f"{each.baseline:.4g}", f"{each.candidate:.4g}", f"{each.delta:+.4g}")
            for each in self.deltas
        ]
        return _html.table(("metric", "baseline", "candidate", "difference"), rows)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if part > 0 and whole > 0 else None
