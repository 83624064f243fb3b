"""The server's side of the conversation, with a process that says what each test wants."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from pellucid_server.call import Call
from pellucid_server.errors import InvalidInput, ModelUnavailable, PellucidError
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.messages import (
    Ask,
    Failed,
    Finished,
    Job,
    Message,
    Pull,
    Ran,
    Run,
    Saving,
)
from pellucid_server.runtime.optimize.plan import Plan, Progress, Quantization, Stage, Verdict
from pellucid_server.runtime.optimize.session import Session
from pellucid_server.types import Feeds, Infer

Items = Callable[..., Callable[[], Iterator[Feeds]]]


class Script:
    """Says its lines; keeps what it was told."""

    def __init__(self, *lines: Message) -> None:
        self._lines = iter((*lines, Finished({"tool": "1"})))
        self.told: list[Any] = []

    def send(self, message: Any) -> None:
        self.told.append(message)

    def receive(self, call: Call) -> Message:
        del call
        return next(self._lines)

    def log_output(self) -> None:
        self.told.append("logged")


def pulls(count: int) -> list[Message]:
    return [Pull(index) for index in range(count)]


def play(script: Script, plan: Plan) -> tuple[Session, list[Progress]]:
    session = Session(cast("Any", script), plan, Call())
    return session, list(session.run(cast("Job", "job")))


def fails(script: Script, plan: Plan) -> PellucidError:
    with pytest.raises(PellucidError) as error:
        play(script, plan)
    return error.value


def judging(judge: Callable[[Infer, Sequence[int]], Verdict], items: Items) -> Plan:
    how = Quantization(calibration_size=12, max_drop=0.1)
    return Plan(Optimization.INT8, how, items(12), judge, judged=12)


def test_items_are_given_in_order_and_no_more_than_wanted(tensors: Items) -> None:
    plan = Plan(Optimization.INT8, Quantization(calibration_size=10), tensors(1000))
    script = Script(*pulls(11))
    session, progress = play(script, plan)
    job, *given, end = script.told
    assert (job, end) == ("job", None)
    for ours, theirs in zip(given, tensors(10)(), strict=True):
        assert np.array_equal(ours["image"], theirs["image"])
    assert session.calibrated == 10
    assert session.tools == {"tool": "1"}
    assert progress[-1] == Progress(Stage.QUANTISE, 0, 1)


def test_a_second_pass_begins_anew_and_is_not_counted_again(tensors: Items) -> None:
    plan = Plan(Optimization.INT8, Quantization(calibration_size=10), tensors(10))
    once, _ = play(Script(*pulls(10)), plan)
    script = Script(*pulls(10), *pulls(10))
    twice, progress = play(script, plan)
    assert (twice.digest, twice.calibrated) == (once.digest, 10)
    assert np.array_equal(script.told[1]["image"], script.told[11]["image"])
    assert progress[10] == Progress(Stage.CALIBRATE, 11, 20)


def test_the_digest_tells_values_shapes_and_order_apart(tensors: Items) -> None:
    items = list(tensors(12)())
    flat = [{"image": each["image"].reshape(1, 3, 64)} for each in items]
    digests = {
        play(Script(*pulls(13)), Plan(Optimization.INT8, calibration=lambda: iter(each)))[0].digest  # noqa: B023 - called at once
        for each in (items, items[::-1], items[:11], flat)
    }
    assert len(digests) == 4


@pytest.mark.parametrize("count", [0, 9])
def test_a_set_that_is_too_small(tensors: Items, count: int) -> None:
    error = fails(Script(*pulls(10)), Plan(Optimization.INT8, calibration=tensors(count)))
    assert isinstance(error, InvalidInput)
    assert error.field == "dataset"
    assert f"{count} images" in error.message


def test_an_error_of_the_set_comes_out_as_it_is() -> None:
    def broken() -> Iterator[Feeds]:
        yield {}
        raise InvalidInput("unreadable", field="dataset")

    plan = Plan(Optimization.INT8, calibration=broken)
    assert fails(Script(*pulls(2)), plan).message == "unreadable"


def test_the_judge_runs_the_model_and_its_verdict_is_sent(tensors: Items) -> None:
    def judge(infer: Infer, indices: Sequence[int]) -> Verdict:
        found = [float(infer({"x": np.array([index])})["y"]) for index in indices]
        return Verdict(sum(found), tuple(found))

    lines = [Ran({"y": np.array(each)}) for each in (3, 4)]
    script = Script(Ask((0, 5)), *lines)
    play(script, judging(judge, tensors))
    _, first, second, verdict = script.told
    assert isinstance(first, Run)
    assert [int(each.feeds["x"][0]) for each in (first, second)] == [0, 5]
    assert verdict == Verdict(7.0, (3.0, 4.0))


def test_stages_are_told_apart_by_what_is_judged(tensors: Items) -> None:
    """All items: the parent, then the quantised; what follows restores, but for the last."""
    whole, part = tuple(range(12)), tuple(range(4))
    asked = [Ask((0,)), Ask(whole), Ask(whole), Ask(part), Ask(whole), Ask(whole, last=True)]
    script = Script(*asked, Saving())
    session, progress = play(script, judging(lambda _, each: Verdict(float(len(each))), tensors))
    assert session.metrics == [12.0] * 4
    assert progress == [
        Progress(Stage.QUANTISE, 1, 1),
        Progress(Stage.VALIDATE, 0, 3),
        Progress(Stage.VALIDATE, 1, 3),
        Progress(Stage.VALIDATE, 2, 3),
        Progress(Stage.RESTORE_ACCURACY, 4, 0),
        Progress(Stage.RESTORE_ACCURACY, 5, 0),
        Progress(Stage.VALIDATE, 3, 3),
        Progress(Stage.SAVE, 0, 1),
    ]


@pytest.mark.parametrize("metric", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number(tensors: Items, metric: float) -> None:
    whole = Ask(tuple(range(12)))
    error = fails(Script(whole), judging(lambda *_: Verdict(metric), tensors))
    assert isinstance(error, InvalidInput)
    assert error.field == "dataset"


def test_of_a_single_item_a_metric_may_be_no_number(tensors: Items) -> None:
    """Mean average precision of an image without objects."""
    script = Script(Ask((0,)))
    play(script, judging(lambda *_: Verdict(float("nan"), (float("nan"),)), tensors))
    assert script.told[-1] == Verdict(0.0, (0.0,))


def test_an_error_of_the_judge_comes_out_as_it_is(tensors: Items) -> None:
    def judge(infer: Infer, indices: Sequence[int]) -> Verdict:
        del infer, indices
        raise InvalidInput("no such class", field="label_map")

    assert fails(Script(Ask((0,))), judging(judge, tensors)).field == "label_map"


def test_a_model_that_fails_while_it_is_judged(tensors: Items) -> None:
    def judge(infer: Infer, indices: Sequence[int]) -> Verdict:
        del indices
        infer({})
        raise AssertionError

    script = Script(Ask((0,)), Failed("layer x\n  is wrong", saving=False))
    error = fails(script, judging(judge, tensors))
    assert error.field == "optimization"
    assert "layer x is wrong" in error.message
    assert script.told[-1] == "logged"


def test_what_nncf_says_is_told_in_short(tensors: Items) -> None:
    script = Script(Failed("long " * 1000, saving=False))
    error = fails(script, Plan(Optimization.INT8, calibration=tensors(10)))
    assert isinstance(error, InvalidInput)
    assert len(error.message) < 500


def test_a_file_that_cannot_be_written_is_the_repository_s_fault(tensors: Items) -> None:
    script = Script(Saving(), Failed("bad stream", saving=True))
    error = fails(script, Plan(Optimization.INT8, calibration=tensors(10)))
    assert isinstance(error, ModelUnavailable)
    assert error.field == "model_name"
