"""Sums over streams that lose nothing to rounding: whole numbers of the smallest float."""

from dataclasses import dataclass

SMALLEST = 1074
"""Every finite float is a whole number of 2 to the power of less this."""


@dataclass
class Total:
    """The exact sum of a stream, rounded once when it is read."""

    count: int = 0
    _units: int = 0

    def add(self, value: float) -> None:
        """Adds a finite value."""
        self.count += 1
        self._units += _units(value)

    @property
    def value(self) -> float:
        """The sum."""
        return self._units / (1 << SMALLEST)

    @property
    def mean(self) -> float:
        """The mean of at least one value."""
        return self._units / (self.count << SMALLEST)


@dataclass
class Spread:
    """The exact sum of squared deviations from the mean of a stream, rounded once."""

    count: int = 0
    _units: int = 0
    _squares: int = 0

    def add(self, value: float) -> None:
        """Adds a finite value."""
        units = _units(value)
        self.count += 1
        self._units += units
        self._squares += units * units

    @property
    def value(self) -> float:
        """The sum, of at least one value."""
        deviations = self.count * self._squares - self._units * self._units
        return deviations / (self.count << (2 * SMALLEST))


def _units(value: float) -> int:
    numerator, denominator = float(value).as_integer_ratio()
    return numerator << (SMALLEST + 1 - denominator.bit_length())
