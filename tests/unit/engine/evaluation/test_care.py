"""Evaluations that servers died of."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.care import DEATHS, Care
from pellucid_server.engine.evaluation.hold import Hold
from pellucid_server.engine.evaluation.run import Runner
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.errors import Cancelled, EvaluationFailed
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, State, Store

from .conftest import LEASE, SlowPool, asked

CLAIMED = Evaluation(
    request="{}", model_name="m", model_version="1", task="classification", name="e", next_index=7
)


def hold(**changes: Any) -> Hold:
    return Hold(cast("Store", None), replace(CLAIMED, **changes), LEASE)


def test_what_never_failed_goes_on_and_so_does_what_was_killed_a_few_times() -> None:
    care = Care(3)
    for attempts in (0, 1, 3 * DEATHS):
        care.check(replace(CLAIMED, attempts=attempts))
    care.check(replace(CLAIMED, crashes=2))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"crashes": 3}, "the server crashed 3 times at image 7 of the data set.*resume"),
        ({"attempts": 3 * DEATHS + 1}, "servers ended 24 times at image 7"),
    ],
)
def test_what_servers_died_of_too_often_is_given_up(counts: Any, message: str) -> None:
    with pytest.raises(EvaluationFailed, match=message):
        Care(3).check(replace(CLAIMED, **counts))


@pytest.mark.parametrize(
    ("counts", "careful"),
    [
        ({"attempts": 1}, False),
        ({"attempts": 3 * (DEATHS - 1)}, False),
        ({"attempts": 3 * DEATHS}, True),
        ({"crashes": 1}, True),
    ],
)
def test_care_is_taken_after_a_crash_or_many_deaths(counts: Any, careful: bool) -> None:  # noqa: FBT001  # a parameter of the test
    held = hold(**counts)
    with Care(3).taken(held):
        assert held.careful is careful
    assert not held.careful


def test_of_those_that_need_care_one_goes_on_at_a_time() -> None:
    """And is the only one that is told: who waits is not blamed for the next crash."""
    told: list[str] = []

    @contextmanager
    def computing(name: str) -> Iterator[None]:
        told.append(name)
        yield

    care, second = Care(3, computing), hold(name="second", crashes=1)
    entered = threading.Event()

    def run() -> None:
        with care.taken(second):
            entered.set()

    with care.taken(hold(name="first", crashes=1)):
        thread = threading.Thread(target=run)
        thread.start()
        assert not entered.wait(0.1)
        assert told == ["first"]
    thread.join(10)
    assert told == ["first", "second"]


def test_who_waits_for_its_turn_still_hears_that_it_is_to_stop() -> None:
    care, second = Care(3), hold(crashes=1)
    second.stop(Cancelled("the evaluation was cancelled"))
    with care.taken(hold(crashes=1)), pytest.raises(Cancelled), care.taken(second):
        pass


def test_after_a_crash_each_image_is_done_and_kept_alone(
    waiting: Evaluations, runner: Runner, store: Store, slow: SlowPool, twelve: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """So that the next crash finds all rows before the image that is at fault."""
    name = waiting.submit(asked(twelve), Call()).name
    store.crashed(name)
    kept: list[int] = []
    append = store.append

    def noted(name: str, token: int, rows: Sequence[Row]) -> Evaluation:
        kept.append(len(rows))
        assert slow.asked == sum(kept), "none may be in work beside"
        return append(name, token, rows)

    monkeypatch.setattr(store, "append", noted)
    slow.gate.set()
    claimed = store.claim("me", LEASE)
    assert claimed is not None
    runner.run(claimed)
    assert kept == [1] * 12
    ended = store.get(name)
    assert (ended.state, ended.crashes) == (State.SUCCEEDED, 0)


def test_what_is_given_up_says_why_and_can_be_resumed(
    waiting: Evaluations, runner: Runner, store: Store, twelve: str
) -> None:
    name = waiting.submit(asked(twelve), Call()).name
    for _ in range(3):
        store.crashed(name)
    for state in (State.FAILED, State.SUCCEEDED):
        claimed = store.claim("me", LEASE)
        assert claimed is not None
        runner.run(claimed)
        assert store.get(name).state is state
        if state is State.FAILED:
            assert store.get(name).reason.startswith("the server crashed 3 times at image 0")
            store.resume(name)


def test_a_service_counts_the_crashes_of_an_earlier_one(
    waiting: Evaluations, store: Store, twelve: str
) -> None:
    """Whatever became of the evaluation meanwhile."""
    name = waiting.submit(asked(twelve), Call()).name
    service = replace(waiting, crashed=[name, "evaluations/gone"], threads=0)
    service.start()
    assert store.get(name).crashes == 1
