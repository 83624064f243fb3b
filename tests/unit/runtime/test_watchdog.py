import time
from collections.abc import Iterator

import pytest

from pellucid_server.runtime.watchdog import GRACE, Watchdog, Watched


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    """One that looks only when it is told to."""
    made = Watchdog(1000)
    yield made
    made.close()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def watched(watchdog: Watchdog, told: list[str]) -> Watched:
    """Work that has ten seconds."""
    work = Watched(10, lambda: told.append("asked"), lambda: told.append("given up"))
    watchdog.watch(work)
    return work


def test_what_comes_back_in_time_is_left_alone(
    watchdog: Watchdog, watched: Watched, told: list[str]
) -> None:
    watchdog._look(9)
    assert watchdog.end(watched)
    watchdog._look(100)
    assert told == []


def test_what_does_not_come_back_is_asked_to_end_and_then_given_up(
    watchdog: Watchdog, watched: Watched, told: list[str]
) -> None:
    watchdog._look(11)
    assert told == ["asked"]
    watchdog._look(GRACE - 2)
    assert told == ["asked"]
    watchdog._look(2)
    assert told == ["asked", "given up"]
    watchdog._look(1000)
    assert len(told) == 2
    assert not watchdog.end(watched), "who comes back later must know"


def test_what_ends_when_it_is_asked_is_not_given_up(
    watchdog: Watchdog, watched: Watched, told: list[str]
) -> None:
    watchdog._look(11)
    assert watchdog.end(watched)
    watchdog._look(1000)
    assert told == ["asked"]


def test_pauses_do_not_count_and_each_step_has_its_time(
    watchdog: Watchdog, watched: Watched, told: list[str]
) -> None:
    watchdog._look(9)
    watched.pause()
    watchdog._look(1000)
    watched.go_on()
    watchdog._look(9)
    assert told == []
    watchdog._look(2)
    assert told == ["asked"]


@pytest.mark.usefixtures("watched")
def test_one_that_fails_to_end_something_goes_on_watching(
    watchdog: Watchdog, told: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    watchdog.watch(Watched(1, fails, lambda: None))
    watchdog._look(11)
    assert told == ["asked"]
    assert "ZeroDivisionError" in "".join(capfd.readouterr())


def test_a_process_that_stood_still_has_not_aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an hour passes between two looks, only the time of two looks counts."""
    real, jumps = time.monotonic, iter(range(0, 10**9, 3600))
    watchdog = Watchdog(0.1)
    monkeypatch.setattr(
        "pellucid_server.runtime.watchdog.time.monotonic", lambda: real() + next(jumps)
    )
    work = Watched(60, pytest.fail, pytest.fail)
    watchdog.watch(work)
    while work.age < 0.05:
        time.sleep(0.01)
    assert work.age < 1
    assert watchdog.end(work)
    watchdog.close()
