"""Who reads images of evaluations waits for predictions, and for others who read."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from pellucid_server.engine.evaluation.courtesy import Courtesy


@dataclass
class Predictions:
    """Some, or none; notes for how long way was made."""

    some: bool = True
    waits: list[float] = field(default_factory=list)

    def lately(self, seconds: float) -> bool:
        assert seconds == Courtesy.LATELY
        return self.some

    def make_way(self, longest: float) -> None:
        self.waits.append(longest)


@contextmanager
def reading(courtesy: Courtesy, readers: int, patience: float) -> Iterator[list[BaseException]]:
    """Readers who wait for each other; what those found who did so in vain."""
    together = threading.Barrier(readers)
    alone: list[BaseException] = []

    def read() -> None:
        with courtesy.reading():
            try:
                together.wait(patience)
            except threading.BrokenBarrierError as error:
                alone.append(error)

    with ThreadPoolExecutor(readers) as threads:
        for _ in range(readers):
            threads.submit(read)
        threads.shutdown()
        yield alone


@pytest.mark.parametrize("at_once", [1, 3])
def test_beside_predictions_no_more_than_so_many_read_at_once(at_once: int) -> None:
    """As many meet, and one more does not."""
    courtesy = Courtesy(at_once, Predictions())
    with reading(courtesy, at_once, patience=60) as alone:
        assert alone == []
    with reading(courtesy, at_once + 1, patience=0.1) as alone:
        assert len(alone) == at_once + 1


@pytest.mark.parametrize("predictions", [Predictions(some=False), None])
def test_where_there_are_none_all_read_at_once(predictions: Predictions | None) -> None:
    with reading(Courtesy(1, predictions), 4, patience=60) as alone:
        assert alone == []


def test_way_is_made_before_each_image() -> None:
    predictions = Predictions()
    courtesy = Courtesy(1, predictions)
    for count in (1, 2, 3):
        with courtesy.reading():
            assert predictions.waits == [Courtesy.MOMENT] * count


def test_an_image_that_cannot_be_read_leaves_its_place_to_the_next() -> None:
    courtesy = Courtesy(1, Predictions())
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), courtesy.reading():
            raise ValueError("broken")
