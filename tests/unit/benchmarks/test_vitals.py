import os

import pytest

from benchmarks.vitals import Vitals, Watch, growth, vitals


def held(time: float, rss: int) -> Vitals:
    return Vitals(time, rss, threads=10 + (time > 90) * 7 * int(time % 2), files=int(20 + time))


def test_growth_is_of_both_ends() -> None:
    """A single peak, what happens in between, and what comes and goes do not count."""
    seen = [held(float(time), 100 + (time > 50) * 50 + (time == 5) * 900) for time in range(101)]
    grown = growth(seen, window=10)
    assert grown == {"rss": 1.5, "threads": 1.0, "files": pytest.approx(110 / 20)}


def test_what_this_process_holds() -> None:
    before = vitals(os.getpid())
    with open(os.devnull, "rb"):  # noqa: PTH123 - any open file
        after = vitals(os.getpid())
    assert after.files == before.files + 1
    assert before.rss > 2**20
    assert before.threads >= 1


def test_a_watch_looks_until_it_is_left() -> None:
    with Watch(os.getpid(), interval=0.001) as watch:
        while len(watch.seen) < 3:
            pass
    count = len(watch.seen)
    assert count == len(watch.seen) >= 3
    assert [each.time for each in watch.seen] == sorted(each.time for each in watch.seen)
