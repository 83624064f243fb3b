"""Evaluations as callers see them: accepted, watched, joined, cancelled, handed over."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pellucid_server.call import Call
from pellucid_server.engine.evaluation import service as service_module
from pellucid_server.engine.evaluation.request import EvaluationEvent, Finished, Progress
from pellucid_server.engine.evaluation.run import Runner
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.engine.evaluation.sweeper import Sweeper
from pellucid_server.errors import (
    Cancelled,
    DeadlineExceeded,
    EvaluationFailed,
    InvalidInput,
    NotFound,
    Overloaded,
    Stopping,
)
from pellucid_server.evaluate.store import Evaluation, State, Store, StoreUnavailable, WrongState
from pellucid_server.evaluate.uploads import Uploads

from .conftest import SlowPool, asked, finished, write_folders, write_list


def name_of(event: EvaluationEvent) -> str:
    assert isinstance(event, Evaluation)
    return event.name


def test_events_are_the_evaluation_its_progress_and_its_report(
    evaluations: Evaluations, twelve: str
) -> None:
    accepted, *progress, last = evaluations.evaluate(asked(twelve), Call(tenant="red"))
    assert isinstance(accepted, Evaluation)
    assert accepted.total == 12
    assert (accepted.task, accepted.precision, accepted.tenant) == ("classification", "f32", "red")
    assert all(isinstance(event, Progress) for event in progress)
    assert isinstance(last, Finished)
    assert last.report.images == 12
    assert last.evaluation.state is State.SUCCEEDED


def test_progress_grows_up_to_the_end(evaluations: Evaluations, data: Path) -> None:
    """Told whenever it changed, where the interval is 0; time counts from when it was accepted."""
    write_folders(data / "many", 200)
    events = list(evaluations.evaluate(asked("many", progress_interval=0.0), Call()))
    progress = [event for event in events if isinstance(event, Progress)]
    done = [event.done for event in progress]
    assert done == sorted(done)
    assert 0 <= done[0] < done[-1] == 200
    assert all(event.total == 200 for event in progress)
    elapsed = [event.elapsed for event in progress]
    assert elapsed == sorted(elapsed)


def test_a_wrong_request_is_refused_and_not_kept(
    evaluations: Evaluations, twelve: str, store: Store
) -> None:
    with pytest.raises(InvalidInput):
        next(evaluations.evaluate(asked(twelve, metrics=("f2",)), Call()))
    assert store.evaluations().items == ()


def test_one_after_another_is_run(evaluations: Evaluations, twelve: str, store: Store) -> None:
    names = [evaluations.submit(asked(twelve), Call()).name for _ in range(3)]
    assert {finished(store, name).state for name in names} == {State.SUCCEEDED}


def test_what_was_left_by_a_dead_server_is_gone_on_with(
    waiting: Evaluations, store: Store, twelve: str
) -> None:
    """By whoever starts next, without being asked."""
    name = waiting.submit(asked(twelve), Call()).name
    assert store.claim("dead", 0.0) is not None
    waiting.start()
    assert finished(store, name).done == 12
    waiting.drain()


def test_hanging_up_does_not_stop_it(
    evaluations: Evaluations, twelve: str, store: Store, slow: SlowPool
) -> None:
    call = Call()
    events = evaluations.evaluate(asked(twelve), call)
    name = name_of(next(events))
    call.cancelled.set()
    with pytest.raises(Cancelled):
        list(events)
    slow.gate.set()
    assert finished(store, name).state is State.SUCCEEDED


@pytest.mark.parametrize("way", ["cancelled", "closed", "deadline"])
def test_hanging_up_stops_it_where_it_was_asked_to(
    evaluations: Evaluations, twelve: str, store: Store, slow: SlowPool, way: str
) -> None:
    del slow
    call = Call(deadline=time.monotonic() + (0.2 if way == "deadline" else 60))
    events = evaluations.evaluate(asked(twelve, cancel_on_disconnect=True), call)
    name = name_of(next(events))
    if way == "closed":
        events.close()
    else:
        if way == "cancelled":
            call.cancelled.set()
        with pytest.raises(Cancelled if way == "cancelled" else DeadlineExceeded):
            list(events)
    assert finished(store, name).state is State.CANCELLED


def test_a_stopping_server_does_not_count_as_hanging_up(
    waiting: Evaluations, twelve: str, store: Store, runner: Runner
) -> None:
    events = waiting.evaluate(asked(twelve, cancel_on_disconnect=True), Call())
    name = name_of(next(events))
    runner.drain()
    with pytest.raises(Stopping):
        list(events)
    assert store.get(name).state is State.PENDING
    assert not store.get(name).cancel_requested


def test_who_hangs_up_is_noticed_however_rare_progress_is(
    evaluations: Evaluations, twelve: str, slow: SlowPool
) -> None:
    """With ten thousand years between two events."""
    del slow
    call = Call()
    events = evaluations.evaluate(asked(twelve, progress_interval=3e11), call)
    next(events)
    next(events)
    threading.Timer(0.1, call.cancelled.set).start()
    with pytest.raises(Cancelled):
        list(events)


def test_joining_a_running_one_gets_the_rest(
    evaluations: Evaluations, twelve: str, slow: SlowPool
) -> None:
    name = evaluations.submit(asked(twelve), Call()).name
    events = evaluations.watch(name, Call())
    assert name_of(next(events)) == name
    slow.gate.set()
    *_, last = events
    assert isinstance(last, Finished)


def test_joining_one_that_runs_elsewhere_gets_what_the_store_knows(
    evaluations: Evaluations, waiting: Evaluations, data: Path
) -> None:
    """A second server on one store sees rows grow, and the end."""
    write_folders(data / "many", 600)
    elsewhere = replace(waiting, runner=replace(waiting.runner, board=type(waiting.runner.board)()))
    name = evaluations.submit(asked("many"), Call()).name
    events = list(elsewhere.watch(name, Call()))
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == 600
    assert [event.done for event in progress] == sorted({event.done for event in progress})
    assert isinstance(events[-1], Finished)


def test_joining_one_that_ended_gets_its_report(evaluations: Evaluations, twelve: str) -> None:
    *_, done = evaluations.evaluate(asked(twelve), Call())
    assert isinstance(done, Finished)
    first, *rest = evaluations.watch(done.evaluation.name, Call(), resume=True)
    assert isinstance(first, Evaluation)
    assert first.state is State.SUCCEEDED
    assert rest == [done]


def test_joining_one_that_failed_tells_why_unless_it_is_resumed(
    evaluations: Evaluations, data: Path, store: Store
) -> None:
    """Mended, it goes on behind the rows that it has."""
    write_list(data / "strict", ["0.png,top left", "1.png,middle"])
    with pytest.raises(EvaluationFailed, match=r"list\.csv:3"):
        list(evaluations.evaluate(asked("strict", strict=True), Call()))
    (failed,) = store.evaluations().items
    with pytest.raises(EvaluationFailed, match=r"list\.csv:3"):
        list(evaluations.watch(failed.name, Call()))
    write_list(data / "strict", ["0.png,top left", "1.png,top right"])
    first, *_, last = evaluations.watch(failed.name, Call(), resume=True)
    assert isinstance(first, Evaluation)
    assert (first.state, first.done, first.reason) == (State.PENDING, 1, "")
    assert isinstance(last, Finished)
    assert last.report.images == 2


def test_one_that_was_cancelled_can_be_resumed(
    evaluations: Evaluations, twelve: str, slow: SlowPool
) -> None:
    name = evaluations.submit(asked(twelve), Call()).name
    assert evaluations.cancel(name, Call()).state is State.CANCELLED
    with pytest.raises(Cancelled):
        list(evaluations.watch(name, Call()))
    slow.gate.set()
    *_, last = evaluations.watch(name, Call(), resume=True)
    assert isinstance(last, Finished)


def test_one_that_waits_is_cancelled_at_once(waiting: Evaluations, twelve: str) -> None:
    name = waiting.submit(asked(twelve), Call()).name
    assert waiting.cancel(name, Call()).state is State.CANCELLED


def test_cancelling_one_that_ended_changes_nothing(
    evaluations: Evaluations, twelve: str, store: Store
) -> None:
    *_, done = evaluations.evaluate(asked(twelve), Call())
    assert isinstance(done, Finished)
    assert evaluations.cancel(done.evaluation.name, Call()) == store.get(done.evaluation.name)


def test_cancelling_waits_no_longer_than_its_patience(
    waiting: Evaluations, twelve: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one whose server does not answer: it is asked to stop, and still runs."""
    monkeypatch.setattr(service_module, "PATIENCE", 0.05)
    name = waiting.submit(asked(twelve), Call()).name
    store.claim("silent", 60)
    evaluation = waiting.cancel(name, Call())
    assert (evaluation.state, evaluation.cancel_requested) == (State.RUNNING, True)


@pytest.mark.parametrize("call", ["watch", "cancel"])
def test_an_unknown_evaluation_is_not_found(evaluations: Evaluations, call: str) -> None:
    with pytest.raises(NotFound) as caught:
        list(getattr(evaluations, call)("evaluations/NONE", Call()))
    assert caught.value.field == "evaluation"


def test_one_that_is_deleted_while_it_is_watched_is_not_found(
    waiting: Evaluations, twelve: str, store: Store
) -> None:
    events = waiting.evaluate(asked(twelve), Call())
    store.delete(name_of(next(events)))
    with pytest.raises(NotFound):
        list(events)


def test_a_running_one_is_not_deleted(
    evaluations: Evaluations, twelve: str, store: Store, slow: SlowPool
) -> None:
    events = evaluations.evaluate(asked(twelve), Call())
    name = name_of(next(events))
    while not slow.asked:
        next(events)
    with pytest.raises(WrongState, match="cancel it first"):
        store.delete(name)


def test_closing_hands_over_and_leaves_no_thread(
    waiting: Evaluations, twelve: str, store: Store, slow: SlowPool
) -> None:
    before = set(threading.enumerate())
    waiting.start()
    name = waiting.submit(asked(twelve), Call()).name
    pause = threading.Event()
    while not slow.asked:
        pause.wait(0.01)
    waiting.close()
    assert not {
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith(("evaluat", "lease"))
    }
    assert store.get(name).state is State.PENDING


def test_a_store_that_is_away_is_looked_for_again(
    waiting: Evaluations, twelve: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "LOOK", 0.01)
    waiting.submit(asked(twelve), Call())
    failures: Iterator[Exception] = iter([StoreUnavailable("away"), KeyError("a bug")])

    class Flaky:
        def claim(self, *args: Any) -> Any:
            for failure in failures:
                raise failure
            return store.claim(*args)

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    flaky = replace(waiting, store=cast("Store", Flaky()))
    flaky.start()
    (evaluation,) = store.evaluations().items
    assert finished(store, evaluation.name).state is State.SUCCEEDED
    flaky.drain()


def test_classes_have_their_names_while_the_model_is_served(
    waiting: Evaluations, twelve: str, models: Any
) -> None:
    name = waiting.submit(asked(twelve), Call()).name
    assert waiting.labels(name)[3] == "bottom right"
    models._models.pop("quarters")
    assert waiting.labels(name) == {}


class Sweeps:
    """Uploads whose sweeps fail at first."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.count = 0
        self.enough = threading.Event()

    def sweep(self) -> None:
        self.count += 1
        if self._failures:
            raise self._failures.pop(0)
        self.enough.set()


def test_uploads_are_swept_again_and_again_whatever_one_sweep_runs_into() -> None:
    sweeps = Sweeps(Overloaded("full", retry_after=1), KeyError("a bug"))
    sweeper = Sweeper(cast("Uploads", sweeps), 0.01)
    sweeper.start()
    assert sweeps.enough.wait(10)
    sweeper.close()
    assert sweeps.count >= 3


def test_a_sweeper_that_was_not_started_closes() -> None:
    Sweeper(cast("Uploads", Sweeps()), 60).close()
