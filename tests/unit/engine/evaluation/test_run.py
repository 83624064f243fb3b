"""One evaluation run to its end, or to whatever comes before it, and then to its end."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pellucid_server.call import Call
from pellucid_server.engine.evaluation import chunk as chunk_module
from pellucid_server.engine.evaluation.request import EvaluationRequest, PreprocessOverride
from pellucid_server.engine.evaluation.run import INTERNAL, Runner
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.errors import NotFound
from pellucid_server.evaluate.report import Report, Row
from pellucid_server.evaluate.row_json import report_from_json
from pellucid_server.evaluate.store import (
    Evaluation,
    ExampleFilter,
    LeaseLost,
    State,
    Store,
    StoreFull,
    StoreUnavailable,
)
from pellucid_server.evaluate.subset import Subset
from pellucid_server.runtime.pool import ModelPool

from .conftest import (
    LEASE,
    Run,
    SlowPool,
    asked,
    finished,
    new,
    without_seconds,
    write_folders,
    write_list,
)


def report_of(evaluation: Evaluation) -> Report:
    """Its report, but for the speed."""
    assert evaluation.report is not None
    return replace(report_from_json(evaluation.report), images_per_second=0)


def metric(evaluation: Evaluation, name: str) -> float:
    return {each.name: each.value for each in report_of(evaluation).metrics}[name]


def claim(store: Store) -> Evaluation:
    claimed = store.claim("me", LEASE)
    assert claimed is not None
    return claimed


def in_background(runner: Runner, claimed: Evaluation) -> threading.Thread:
    thread = threading.Thread(target=runner.run, args=(claimed,))
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_module, "CHUNK", 3)


def test_a_set_is_evaluated_to_a_report_and_rows(run: Run, twelve: str, store: Store) -> None:
    """Two of twelve images are annotated wrong."""
    evaluation = run(asked(twelve))
    assert evaluation.state is State.SUCCEEDED
    assert (evaluation.done, evaluation.total, evaluation.bad) == (12, 12, 0)
    assert metric(evaluation, "top_1") == pytest.approx(10 / 12, abs=1e-15)
    rows = list(store.rows(evaluation.name))
    assert [row.index for row in rows] == list(range(12))
    wrong = [row.path for row in rows if not row.correct]
    assert wrong == ["bottom left/00002.png", "bottom right/00007.png"]
    assert len(evaluation.dataset_digest) == 32


def test_metrics_count_how_runs_ended_and_what_they_kept(
    run: Run, runner: Runner, waiting: Evaluations, store: Store, data: Path, twelve: str
) -> None:
    write_list(data / "bad", ["9.png,top left"])
    run(asked(twelve))
    run(asked("bad", strict=True))
    waiting.submit(asked(twelve), Call())
    runner.drain()
    runner.run(claim(store))

    def value(name: str, **labels: str) -> float | None:
        return runner.metrics.registry.get_sample_value(name, {"model": "quarters", **labels})

    ended = "pellucid_evaluations_total"
    assert value(ended, outcome="succeeded") == 1
    assert value(ended, outcome="failed") == 1
    assert value(ended, outcome="handed_over") == 1
    assert value("pellucid_evaluation_images_total") == 12
    value_of = runner.metrics.registry.get_sample_value
    assert value_of("pellucid_evaluations_running") == 0
    assert value_of("pellucid_evaluation_images_left") == 0


@pytest.mark.parametrize("settings", [{"batch": 4}, {"progress_interval": 0.0}, {"batch": 5}])
def test_how_it_runs_changes_nothing_of_what_it_finds(
    run: Run, twelve: str, settings: dict[str, Any]
) -> None:
    plain, other = run(asked(twelve)), run(asked(twelve, **settings))
    assert plain.dataset_digest == other.dataset_digest
    assert metric(plain, "top_1") == metric(other, "top_1")
    assert report_of(plain).confusions == report_of(other).confusions


def test_a_subset_is_all_that_is_looked_at(run: Run, twelve: str) -> None:
    evaluation = run(asked(twelve, subset=Subset(1, per_class=True)))
    assert (evaluation.done, evaluation.total) == (4, 4)


def test_preprocessing_changes_the_result_and_leaves_no_model_behind(
    run: Run, twelve: str, pool: ModelPool
) -> None:
    """With a hundredth of the brightness the confidences are almost even."""
    plain = run(asked(twelve))
    compiled = pool.devices[0].count
    dim = run(asked(twelve, preprocess=PreprocessOverride(scale=(25500,))))
    assert metric(dim, "top_1") == metric(plain, "top_1")
    assert metric(dim, "log_loss") > 2 * metric(plain, "log_loss")
    assert pool.devices[0].count == compiled


def test_bad_rows_are_counted_and_end_nothing(run: Run, data: Path, store: Store) -> None:
    write_list(data / "mixed", ["0.png,top left", "9.png,top left", "1.png,middle"])
    evaluation = run(asked("mixed"))
    assert (evaluation.state, evaluation.done, evaluation.bad) == (State.SUCCEEDED, 3, 2)
    report = report_of(evaluation)
    assert (report.images, report.bad_annotations) == (1, 2)
    page = store.examples(evaluation.name, ExampleFilter(bad_annotation=True))
    assert [row.location for row in page.items] == ["list.csv:3", "list.csv:4"]


def test_a_set_of_bad_rows_alone_has_an_empty_report(run: Run, data: Path) -> None:
    write_list(data / "bad", ["9.png,top left", "1.png,middle"])
    evaluation = run(asked("bad"))
    assert evaluation.state is State.SUCCEEDED
    assert (report_of(evaluation).images, report_of(evaluation).bad_annotations) == (0, 2)


def test_strict_ends_at_the_first_bad_row_with_its_place(
    run: Run, data: Path, store: Store
) -> None:
    """The rows before it stay."""
    write_list(data / "strict", ["0.png,top left", "1.png,middle", "2.png,bottom left"])
    evaluation = run(asked("strict", strict=True))
    assert evaluation.state is State.FAILED
    assert evaluation.reason.startswith(
        "dataset: 1.png (list.csv:3): the model has no class 'middle'"
    )
    assert [row.index for row in store.rows(evaluation.name)] == [0]


def test_what_the_server_cannot_explain_is_said_in_the_log_alone(
    run: Run, twelve: str, runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def infer(self, *_: Any, **__: Any) -> Any:
            raise KeyError("secret")

        drop = infer

    runner.pool = cast("ModelPool", replace_methods(runner.pool, infer=Broken().infer))
    evaluation = run(asked(twelve))
    assert (evaluation.state, evaluation.reason) == (State.FAILED, INTERNAL)
    assert "secret" in capsys.readouterr().out


def replace_methods(what: Any, **methods: Any) -> Any:
    """Something that is as `what`, but for some methods."""

    class Changed:
        def __getattr__(self, name: str) -> Any:
            return methods.get(name) or getattr(what, name)

    return Changed()


def test_a_model_that_is_gone_fails_it_with_the_reason(
    store: Store, runner: Runner, twelve: str
) -> None:
    store.create(new(EvaluationRequest("vanished", twelve)))
    claimed = claim(store)
    runner.run(claimed)
    assert store.get(claimed.name).state is State.FAILED
    assert store.get(claimed.name).reason.startswith("model_name: no model 'vanished'")


def test_a_model_that_was_changed_since_fails_it(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, models: Any
) -> None:
    """Rows of two models do not mix: another description is another model."""
    name = waiting.submit(asked(twelve), Call()).name
    served = models.get("quarters")
    spec = served.spec.model_copy(update={"labels": (*served.spec.labels[1:], "top left")})
    models._models["quarters"] = replace(served, spec=spec)
    runner.run(claim(store))
    assert store.get(name).state is State.FAILED
    assert "was changed since the evaluation was accepted" in store.get(name).reason


def test_a_model_that_was_read_again_is_the_same(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, models: Any
) -> None:
    name = waiting.submit(asked(twelve), Call()).name
    models._models["quarters"] = replace(models.get("quarters"))
    runner.run(claim(store))
    assert store.get(name).state is State.SUCCEEDED


def test_images_are_counted_where_nobody_did(store: Store, runner: Runner, twelve: str) -> None:
    store.create(new(asked(twelve), total=None))
    claimed = claim(store)
    runner.run(claimed)
    assert (store.get(claimed.name).total, store.get(claimed.name).done) == (12, 12)


class Crash(BaseException):
    """As good as kill -9: nothing is handed over or finished."""


def crashing(store: Store, after: int, *, before_commit: bool) -> Any:
    """A store that dies around one of its commits."""
    commits = itertools.count()

    def append(name: str, token: int, rows: Sequence[Row]) -> Evaluation:
        if next(commits) == after:
            if not before_commit:
                store.append(name, token, rows)
            raise Crash
        return store.append(name, token, rows)

    return replace_methods(store, append=append)


def test_an_evaluation_that_dies_over_and_over_ends_with_the_same_rows(
    store: Store, runner: Runner, waiting: Evaluations, data: Path, small_chunks: None
) -> None:
    """At twenty random commits, before or after: none is lost, none is there twice.

    Rows, report and digest are those of an undisturbed run, but for the time it took.
    """
    del small_chunks
    write_folders(data / "many", 90, wrong=(5, 50))
    for index in (17, 18):
        next((data / "many").rglob(f"*{index}.png")).write_bytes(b"no image")
    request = asked("many")
    plain = waiting.submit(request, Call())
    runner.run(claim(store))
    name, chance = waiting.submit(request, Call()).name, random.Random(7)  # noqa: S311  # no secret
    deaths = 0
    for _ in range(100):
        claimed = store.claim("somebody", 0.0)
        if claimed is None:
            break
        mortal = crashing(store, chance.randrange(3), before_commit=chance.random() < 0.5)
        try:
            replace(runner, store=mortal, _held=set()).run(claimed)
        except Crash:
            deaths += 1
    assert deaths >= 20
    evaluation, undisturbed = store.get(name), store.get(plain.name)
    assert evaluation.state is State.SUCCEEDED
    assert without_seconds(store.rows(name)) == without_seconds(store.rows(plain.name))
    assert report_of(evaluation) == report_of(undisturbed)
    assert evaluation.dataset_digest == undisturbed.dataset_digest
    assert (evaluation.done, evaluation.bad) == (undisturbed.done, undisturbed.bad) == (90, 2)


def test_a_run_that_was_taken_over_writes_nothing_more(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, slow: SlowPool
) -> None:
    name = waiting.submit(asked(twelve), Call()).name
    claimed = store.claim("me", 0.0)
    assert claimed is not None
    thread = in_background(runner, claimed)
    wait_for(lambda: slow.asked > 0)
    taken = store.claim("other", LEASE)
    assert taken is not None
    thread.join(10)
    assert not thread.is_alive()
    after = store.get(name)
    assert (after.state, after.owner, after.token) == (State.RUNNING, "other", claimed.token + 1)


def test_cancelling_here_stops_what_is_in_work(
    store: Store, runner: Runner, waiting: Evaluations, data: Path, slow: SlowPool
) -> None:
    """No inference begins after it, and none is waited for."""
    write_folders(data / "many", 60)
    name = waiting.submit(asked("many"), Call()).name
    thread = in_background(runner, claim(store))
    wait_for(lambda: slow.asked > 0)
    store.request_cancel(name)
    runner.cancel(name)
    thread.join(10)
    assert not thread.is_alive()
    assert store.get(name).state is State.CANCELLED
    begun = slow.asked
    assert begun < 60
    slow.gate.set()
    assert slow.asked == begun


def test_cancelling_elsewhere_is_noticed_too(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, slow: SlowPool
) -> None:
    runner.lease = 0.2
    name = waiting.submit(asked(twelve), Call()).name
    thread = in_background(runner, claim(store))
    wait_for(lambda: slow.asked > 0)
    store.request_cancel(name)
    thread.join(10)
    assert store.get(name).state is State.CANCELLED


def test_rows_done_before_a_cancellation_stay_and_are_gone_on_from(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, small_chunks: None
) -> None:
    del small_chunks
    name = waiting.submit(asked(twelve), Call()).name

    def append(*args: Any) -> Evaluation:
        store.append(*args)
        return store.request_cancel(name)

    replace(runner, store=replace_methods(store, append=append), _held=set()).run(claim(store))
    assert store.get(name).state is State.CANCELLED
    some = store.get(name).done
    assert 0 < some < 12
    store.resume(name)
    runner.run(claim(store))
    assert (store.get(name).state, store.get(name).done) == (State.SUCCEEDED, 12)


def test_draining_hands_over_at_once_with_the_rows_so_far(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, slow: SlowPool
) -> None:
    """It waits for anybody, not for the lease to run out."""
    name = waiting.submit(asked(twelve), Call()).name
    thread = in_background(runner, claim(store))
    wait_for(lambda: slow.asked > 0)
    runner.drain()
    thread.join(10)
    assert not thread.is_alive()
    assert (store.get(name).state, store.get(name).owner) == (State.PENDING, None)
    slow.gate.set()
    replace(runner, draining=threading.Event(), _held=set()).run(claim(store))
    assert store.get(name).state is State.SUCCEEDED


def test_what_is_claimed_while_the_server_stops_is_handed_over(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str
) -> None:
    name = waiting.submit(asked(twelve), Call()).name
    runner.drain()
    runner.run(claim(store))
    assert (store.get(name).state, store.get(name).done) == (State.PENDING, 0)


def test_the_lease_is_renewed_while_rows_are_told_anew(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str
) -> None:
    """However long that takes: here until it was renewed three times."""
    waiting.submit(asked(twelve), Call())
    renewals: list[float] = []

    def renew(name: str, token: int, lease: float) -> Evaluation:
        renewals.append(lease)
        return store.renew(name, token, lease)

    def rows(name: str) -> Iterator[Row]:
        wait_for(lambda: len(renewals) >= 3)
        return store.rows(name)

    claimed, counted = claim(store), replace_methods(store, renew=renew, rows=rows)
    replace(runner, store=counted, lease=0.1, _held=set()).run(claimed)
    assert store.get(claimed.name).state is State.SUCCEEDED
    assert set(renewals) == {0.1}


@pytest.mark.parametrize("call", ["append", "finish"])
def test_a_store_that_goes_away_leaves_it_to_whoever_sees_it_again(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, call: str
) -> None:
    """In the middle, or when there was nothing left but to finish: all is there afterwards."""
    name = waiting.submit(asked(twelve), Call()).name

    def away(*_: Any, **__: Any) -> Evaluation:
        raise StoreUnavailable("away")

    gone = replace_methods(store, **{call: away})
    claimed = store.claim("me", 0.05)
    assert claimed is not None
    replace(runner, store=gone, lease=0.05, _held=set()).run(claimed)
    assert store.get(name).state is State.RUNNING
    threading.Event().wait(0.1)  # the lease runs out
    runner.run(claim(store))
    assert (store.get(name).state, store.get(name).done) == (State.SUCCEEDED, 12)


def test_a_store_without_room_fails_it_with_the_reason(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str
) -> None:
    """It can be gone on with when there is some."""
    name = waiting.submit(asked(twelve), Call()).name

    def full(*_: Any) -> Evaluation:
        raise StoreFull("the store has no room")

    limited = replace_methods(store, append=full)
    replace(runner, store=limited, _held=set()).run(claim(store))
    assert (store.get(name).state, store.get(name).reason) == (
        State.FAILED,
        "the store has no room",
    )
    store.resume(name)
    runner.run(claim(store))
    assert (store.get(name).state, store.get(name).reason) == (State.SUCCEEDED, "")


@pytest.mark.parametrize("error", [LeaseLost("taken"), NotFound("deleted")])
def test_what_is_taken_or_deleted_at_its_end_is_left(
    store: Store, runner: Runner, waiting: Evaluations, twelve: str, error: Exception
) -> None:
    waiting.submit(asked(twelve), Call())

    def finish(*_: Any, **__: Any) -> Evaluation:
        raise error

    other = replace_methods(store, finish=finish)
    claimed = claim(store)
    replace(runner, store=other, _held=set()).run(claimed)
    assert store.get(claimed.name).state is State.RUNNING


def test_a_model_that_is_unloaded_meanwhile_is_run_to_the_end_and_forgotten(
    store: Store,
    runner: Runner,
    waiting: Evaluations,
    twelve: str,
    models: Any,
    pool: ModelPool,
    slow: SlowPool,
) -> None:
    """What the repository drops is compiled again for the rest, and dropped with its end."""
    name = waiting.submit(asked(twelve), Call()).name
    thread = in_background(runner, claim(store))
    wait_for(lambda: slow.asked > 0)
    pool.drop(models._models.pop("quarters"))
    slow.gate.set()
    thread.join(20)
    assert store.get(name).state is State.SUCCEEDED
    assert pool.devices[0].count == 0


def test_no_thread_is_left_of_a_run(run: Run, twelve: str) -> None:
    run(asked(twelve))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("evaluate", "lease"))]


def test_an_evaluation_that_ends_is_no_longer_on_the_board(
    run: Run, twelve: str, runner: Runner
) -> None:
    evaluation = run(asked(twelve))
    assert runner.board.latest(evaluation.name, None, 0) is None
    assert finished(runner.store, evaluation.name) == evaluation
