import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import pytest

from pellucid_server.engine.evaluation.pipeline import batched, in_order


@pytest.mark.parametrize(
    ("items", "size", "lists"),
    [(5, 2, [[0, 1], [2, 3], [4]]), (4, 2, [[0, 1], [2, 3]]), (0, 3, []), (2, 5, [[0, 1]])],
)
def test_batches_are_full_but_for_the_last(items: int, size: int, lists: list[list[int]]) -> None:
    assert list(batched(range(items), size)) == lists


def test_results_come_in_order_whatever_each_takes() -> None:
    def work(item: int) -> int:
        time.sleep(0.001 * (7 - item % 8))
        return item * item

    with ThreadPoolExecutor(4) as threads:
        results = list(in_order(threads, work, range(40), ahead=8, pulse=5))
    assert results == [item * item for item in range(40)]


def test_no_more_items_are_taken_than_may_be_in_work() -> None:
    """Of an endless source, so that memory does not grow with a data set."""
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for item in count():
            taken += 1
            yield item

    with ThreadPoolExecutor(2) as threads:
        results = in_order(threads, lambda item: item, source(), ahead=5, pulse=5)
        assert list(islice(results, 100)) == list(range(100))
        assert taken <= 100 + 5
        results.close()  # type: ignore[attr-defined]  # a generator


def test_a_pulse_comes_while_an_item_takes_long() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        results = in_order(threads, lambda _: gate.wait(10), [0], ahead=1, pulse=0.01)
        assert [next(results) for _ in range(3)] == [None, None, None]
        gate.set()
        assert [each for each in results if each is not None] == [True]


def test_an_error_comes_in_its_place_and_ends_the_rest() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        if item == 3:
            raise KeyError(item)
        return item

    with ThreadPoolExecutor(1) as threads:
        results = in_order(threads, work, range(100), ahead=4, pulse=5)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(KeyError):
            next(results)
    assert max(started) < 8


def test_a_timeout_of_the_work_itself_is_an_error_not_a_pulse() -> None:
    def work(_: int) -> int:
        raise TimeoutError("of the work")

    with ThreadPoolExecutor(1) as threads, pytest.raises(TimeoutError, match="of the work"):
        list(in_order(threads, work, [0], ahead=1, pulse=5))


def test_closing_waits_for_what_runs_and_drops_what_does_not() -> None:
    """So that no thread works for an evaluation that has ended."""
    gate, running, done = threading.Event(), threading.Event(), []

    def work(item: int) -> int:
        running.set()
        gate.wait(10)
        done.append(item)
        return item

    with ThreadPoolExecutor(1) as threads:
        results = in_order(threads, work, range(10), ahead=3, pulse=0.01)
        assert next(results) is None
        running.wait(10)
        threading.Timer(0.05, gate.set).start()
        results.close()  # type: ignore[attr-defined]  # a generator
        assert done == [0]
