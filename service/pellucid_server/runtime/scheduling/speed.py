MEMORY = 64
"""Units after which an observation counts for a third."""


class Speed:
    """How long work takes: seconds per unit of cost, of recent units."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._cost = 0.0

    def observe(self, cost: float, seconds: float) -> None:
        keep = 1 - 1 / MEMORY
        self._cost = keep * self._cost + cost
        self._seconds = keep * self._seconds + seconds

    @property
    def seconds_per_cost(self) -> float:
        """0 before the first observation: nothing is refused on a guess."""
        return self._seconds / self._cost if self._cost else 0.0
