"""Errors of numbers, as scikit-learn has them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pellucid_server.evaluate.metrics.sums import Spread, Total


@dataclass
class Errors:
    """Errors of one output over a stream."""

    _squared: Total = field(default_factory=Total)
    _absolute: Total = field(default_factory=Total)
    _logarithmic: Total | None = field(default_factory=Total)
    _targets: Spread = field(default_factory=Spread)

    def add(self, target: float, value: float) -> None:
        """Counts a prediction; both are finite."""
        self._squared.add((target - value) ** 2)
        self._absolute.add(abs(target - value))
        self._targets.add(target)
        if min(target, value) <= -1:
            self._logarithmic = None
        if self._logarithmic is not None:
            self._logarithmic.add((math.log1p(target) - math.log1p(value)) ** 2)

    @property
    def count(self) -> int:
        """Predictions counted."""
        return self._squared.count

    @property
    def mse(self) -> float:
        """Mean squared error."""
        return self._squared.mean

    @property
    def rmse(self) -> float:
        """Its square root."""
        return math.sqrt(self.mse)

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return self._absolute.mean

    @property
    def msle(self) -> float | None:
        """Mean squared difference of log(1 + x); None where a number was -1 or less."""
        return self._logarithmic.mean if self._logarithmic is not None else None

    @property
    def r2(self) -> float | None:
        """Share of the variance that is explained; None of fewer than two predictions.

        Of targets that are all equal it is 1 where they are met, and otherwise 0.
        """
        if self.count < 2:
            return None
        if self._targets.value == 0:
            return float(self._squared.value == 0)
        return 1 - self._squared.value / self._targets.value


FIGURES: Mapping[str, Callable[[Errors], float | None]] = {
    "r2": lambda errors: errors.r2,
    "mse": lambda errors: errors.mse,
    "rmse": lambda errors: errors.rmse,
    "mae": lambda errors: errors.mae,
    "msle": lambda errors: errors.msle,
}
"""Every figure by name."""
