"""What every benchmark shares: how it is registered, paired, summed up."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

LOW, HIGH = 10, 90
"""Percentiles of the repetitions that stand beside the median."""

Series = Mapping[str, Sequence[float]]
"""The repetitions of each name that a benchmark measures."""
Run = Callable[[Any], Series]
T = TypeVar("T")


class Skipped(Exception):  # an outcome, not a fault
    """Why a benchmark cannot run here."""


@dataclass(frozen=True)
class Result:
    """A line of the table: the median of the repetitions, and their 10th and 90th percentile.

    What was skipped has no figures, and the reason.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    command: str
    skipped: str = ""


@dataclass(frozen=True)
class Work:
    """Units of work done, the wall time they took, and the processor time of who did them."""

    units: float
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Units in a second."""
        return self.units / self.seconds

    @property
    def rate_per_cpu(self) -> float:
        """Units in a second of processor time: what others do on the machine matters less."""
        return self.units / self.cpu


@dataclass(frozen=True)
class Benchmark:
    """A function that measures the names in `units`, at a quick and at a full size."""

    run: Run
    units: Mapping[str, str]
    quick: Any
    full: Any
    note: str = ""
    """Why the quick run leaves it out; empty: it does not."""

    def results(self, quick: bool, command: str) -> list[Result]:  # noqa: FBT001  # a size
        """A result for each name, in their order; without figures where it cannot run here."""
        try:
            series = self._series(quick)
        except Skipped as reason:
            return [
                Result(name, None, None, None, unit, command, str(reason))
                for name, unit in self.units.items()
            ]
        return [
            Result(name, *summary(series[name]), unit, command) for name, unit in self.units.items()
        ]

    def _series(self, quick: bool) -> Series:  # noqa: FBT001  # a size
        if quick and self.note:
            raise Skipped(self.note)
        return self.run(self.quick if quick else self.full)


BENCHMARKS: list[Benchmark] = []


def benchmark(
    units: Mapping[str, str], *, quick: Any = None, full: Any, note: str = ""
) -> Callable[[Run], Run]:
    """Registers a function: `units` has the unit of each name that it measures.

    A benchmark with a `note` is left out of the quick run, and the table says why.
    """

    def register(run: Run) -> Run:
        BENCHMARKS.append(Benchmark(run, units, quick, full, note))
        return run

    return register


def interleave(pairs: int, first: Callable[[], T], second: Callable[[], T]) -> list[tuple[T, T]]:
    """Runs A B A B ...: a pair for each time round.

    What else happens on the machine falls on neighbours alike, and cancels in their ratio.
    """
    return [(first(), second()) for _ in range(pairs)]


def ratios(pairs: Iterable[tuple[float, float]]) -> list[float]:
    """The first of each pair over the second."""
    return [first / second for first, second in pairs]


def summary(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 10th and 90th percentile."""
    low, middle, high = np.percentile(values, [LOW, 50, HIGH])
    return float(middle), float(low), float(high)


def percentile(values: Sequence[float], rank: float) -> float:
    """The value that `rank` percent of the values do not exceed."""
    return float(np.percentile(values, rank))
