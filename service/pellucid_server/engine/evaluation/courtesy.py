"""Evaluations read and decode images beside predictions, which go first."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def nobody(_: float) -> None:
    """Waits for nobody."""


class Courtesy:
    """Lets few images be read at once, and waits a moment for predictions before each.

    Inferences give way by their lane. Decoding would not: it is short, and the kernel would
    give it half of the core on which a prediction computes.
    """

    MOMENT = 0.01
    """Seconds that an image waits at most: under predictions without end, evaluations go on."""

    def __init__(self, at_once: int = 1, make_way: Callable[[float], None] = nobody) -> None:
        self._places = threading.Semaphore(at_once)
        self._make_way = make_way

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While an image is read and prepared."""
        with self._places:
            self._make_way(self.MOMENT)
            yield
