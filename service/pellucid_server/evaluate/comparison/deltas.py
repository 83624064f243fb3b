"""Figures of two evaluations side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pellucid_server.evaluate.comparison.bootstrap import (
    UNKNOWN,
    Increments,
    Resampled,
    Values,
    Weights,
    interval,
)
from pellucid_server.evaluate.comparison.speed import Median
from pellucid_server.evaluate.comparison.statistics import STATISTICS, mean
from pellucid_server.evaluate.evaluator import Evaluator
from pellucid_server.evaluate.metrics.sums import Total
from pellucid_server.evaluate.report import Metric, Row

MEAN_SCORE = "mean_score"
"""Of the images' own scores: what they are depends on the task, see `Row.score`."""


@dataclass(frozen=True)
class Delta:
    """A figure of both, and the 95 % bootstrap interval of candidate less baseline.

    The ends are NaN for figures that are not resampled: average precision.
    """

    name: str
    baseline: float
    candidate: float
    low: float
    high: float
    unit: str = ""

    @property
    def delta(self) -> float:
        """Candidate less baseline."""
        return self.candidate - self.baseline


class Side:
    """One of the two: its figures over the rows added, and the same in every resample."""

    def __init__(self, judge: Evaluator, weights: Weights) -> None:
        self._judge = judge
        self._statistic = STATISTICS[judge.task](judge.options)
        self._resampled = Resampled(weights)
        self._score = Total()
        self.seconds = Median()

    def add(self, row: Row) -> None:
        """Counts a row."""
        self._judge.add(row)
        self._resampled.add(row.index, self._statistic.increments(row))
        self._resampled.add(row.index, _score(row))
        if row.score is not None:
            self._score.add(row.score)
        self.seconds.add(row.seconds)

    def metrics(self) -> Mapping[str, Metric]:
        """The figures by name, those of the report first."""
        named = {metric.name: metric for metric in self._judge.report().metrics}
        if self._score.count:
            named[MEAN_SCORE] = Metric(MEAN_SCORE, self._score.mean)
        return named

    def resampled(self) -> Mapping[str, Values]:
        """The figures that sums can give, in every resample."""
        sums = self._resampled.sums
        named = dict(self._statistic.metrics(sums))
        named[MEAN_SCORE] = mean(sums["score", "sum"], sums["score", "count"])
        return named


def _score(row: Row) -> Increments:
    if row.score is not None:
        yield ("score", "sum"), row.score
        yield ("score", "count"), 1


def deltas(baseline: Side, candidate: Side) -> Iterator[Delta]:
    """Of the figures that both have, in the order of the report."""
    ones, others = baseline.metrics(), candidate.metrics()
    drawn, also_drawn = baseline.resampled(), candidate.resampled()
    for name, metric in ones.items():
        if name in others:
            known = name in drawn and name in also_drawn
            ends = interval(also_drawn[name] - drawn[name]) if known else UNKNOWN
            yield Delta(name, metric.value, others[name].value, *ends, metric.unit)
