"""Evaluations read and decode images beside predictions, which go first."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Predictions(Protocol):
    """What is known of the predictions of this server."""

    def lately(self, seconds: float) -> bool:
        """Whether there are any, or were so lately."""

    def make_way(self, longest: float) -> None:
        """Waits until there are none, so many seconds at most."""


class Courtesy:
    """Beside predictions lets few images be read at once, and waits a moment before each.

    Inferences give way by their lane. Decoding would not: it is short, and the kernel would
    give it half of the core on which a prediction computes.
    """

    MOMENT = 0.01
    """Seconds that an image waits at most: under predictions without end, evaluations go on."""
    LATELY = 1.0
    """Seconds after a prediction in which the next one is expected."""

    def __init__(self, at_once: int = 1, predictions: Predictions | None = None) -> None:
        self._places = threading.Semaphore(at_once)
        self._predictions = predictions

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While an image is read and prepared."""
        if self._predictions is None or not self._predictions.lately(self.LATELY):
            yield
            return
        with self._places:
            self._predictions.make_way(self.MOMENT)
            yield
