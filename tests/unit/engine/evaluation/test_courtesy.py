"""Who reads images of evaluations waits for predictions, and for others who read."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from pellucid_server.engine.evaluation.courtesy import Courtesy


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_than_so_many_read_at_once(at_once: int) -> None:
    """Eight threads read forty images: the most seen at once is the limit."""
    courtesy, lock, reading, seen = Courtesy(at_once), threading.Lock(), 0, []

    @contextmanager
    def counted() -> Iterator[None]:
        nonlocal reading
        with lock:
            reading += 1
            seen.append(reading)
        yield
        with lock:
            reading -= 1

    def read(_: int) -> None:
        with courtesy.reading(), counted():
            time.sleep(0.002)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, range(40)))
    assert max(seen) == at_once
    assert len(seen) == 40


def test_predictions_are_asked_for_before_each_image() -> None:
    waits: list[float] = []
    courtesy = Courtesy(1, waits.append)
    for count in (1, 2, 3):
        with courtesy.reading():
            assert waits == [Courtesy.MOMENT] * count


def test_an_image_that_cannot_be_read_leaves_its_place_to_the_next() -> None:
    courtesy = Courtesy(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), courtesy.reading():
            raise ValueError("broken")
