import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.courtesy import Courtesy
from pellucid_server.engine.evaluation.judge import Judge
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.errors import Cancelled, Overloaded
from pellucid_server.evaluate.annotations import Flaw, Labels, Sample
from pellucid_server.evaluate.report import Row
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.types import Port

from .conftest import LIMITS, asked, picture, write_list


def judge_of(
    planner: Planner, pool: ModelPool, request: EvaluationRequest, call: Call | None = None
) -> Judge:
    plan = planner.plan(request, lambda: None)
    return Judge(pool, plan, plan.evaluator(), LIMITS, call or Call(), courtesy=Courtesy())


@pytest.fixture
def listed(data: Path) -> str:
    """A list of four images, the last of which is annotated wrong."""
    names = ("top left", "top right", "bottom left", "top left")
    write_list(data / "listed", [f"{index}.png,{name}" for index, name in enumerate(names)])
    return "listed"


def labels(row: Row) -> tuple[str, str]:
    """What was predicted, and what is annotated."""
    assert row.predicted
    assert row.annotated
    return row.predicted.label, row.annotated.label


def rows_of(planner: Planner, pool: ModelPool, dataset: str, **settings: Any) -> list[Row]:
    request = asked(dataset, **settings)
    judge = judge_of(planner, pool, request)
    items = list(enumerate(planner.plan(request, lambda: None).rows()))
    size = request.batch or 1
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    return [row for batch in batches for row in judge.rows(batch)]


def test_a_row_says_what_the_model_and_the_annotation_say(
    planner: Planner, pool: ModelPool, listed: str
) -> None:
    """The last image shows the bottom right and is annotated otherwise."""
    right, *_, wrong = rows_of(planner, pool, listed)
    assert labels(right) == ("top left", "top left")
    assert right.rank == 1
    assert right.correct is True
    assert labels(wrong) == ("bottom right", "top left")
    assert wrong.correct is False
    assert wrong.rank > 1
    assert [row.index for row in rows_of(planner, pool, listed)] == [0, 1, 2, 3]
    assert wrong.location == "list.csv:5"
    assert right.seconds > 0


def test_confidences_are_those_of_the_model(planner: Planner, pool: ModelPool, listed: str) -> None:
    """Against the softmax of ten times the mean brightness of each quarter, to 1e-6."""
    (row, *_) = rows_of(planner, pool, listed)
    brightness = np.array([250, 30, 30, 30]) / 255
    expected = np.exp(10 * brightness) / np.exp(10 * brightness).sum()
    assert row.predicted
    assert row.predicted.confidence == pytest.approx(expected[0], abs=1e-6)


@pytest.mark.parametrize("batch", [2, 3, 4])
def test_images_judged_together_get_the_same_rows(
    planner: Planner, pool: ModelPool, listed: str, batch: int
) -> None:
    """Confidences equal to 1e-6, all else exactly; the last batch is not always full."""
    alone, together = rows_of(planner, pool, listed), rows_of(planner, pool, listed, batch=batch)
    for one, other in zip(alone, together, strict=True):
        assert labels(one) == labels(other)
        assert other.score == pytest.approx(one.score, abs=1e-6)
        keep: dict[str, Any] = {"seconds": 0, "predicted": None, "annotated": None}
        keep |= {"score": None, "detail": {}}
        assert replace(one, **keep) == replace(other, **keep)


@pytest.mark.parametrize("begin", [1, 2, 3])
def test_rows_do_not_depend_on_which_image_came_first(
    planner: Planner, pool: ModelPool, listed: str, begin: int
) -> None:
    """An evaluation that is resumed at any image: the same confidences to the last bit."""
    request = asked(listed, batch=4)
    judge = judge_of(planner, pool, request)
    items = list(enumerate(planner.plan(request, lambda: None).rows()))
    whole, resumed = judge.rows(items), judge.rows(items[begin:])
    alone = [judge.rows([item])[0] for item in items[begin:]]
    expected = [replace(row, seconds=0) for row in whole[begin:]]
    assert [replace(row, seconds=0) for row in resumed] == expected
    assert [replace(row, seconds=0) for row in alone] == expected


def test_the_digest_is_of_the_image_and_its_annotation(
    planner: Planner, pool: ModelPool, listed: str, data: Path
) -> None:
    request = asked(listed)
    first = next(iter(planner.plan(request, lambda: None).rows()))
    digest = hashlib.blake2b((data / listed / "0.png").read_bytes(), digest_size=16)
    digest.update(repr(first).encode())
    before = rows_of(planner, pool, listed)
    assert before[0].digest == digest.hexdigest()
    (data / listed / "0.png").write_bytes(picture(0, 251))
    changed = rows_of(planner, pool, listed)
    assert [one.digest == other.digest for one, other in zip(before, changed, strict=True)] == [
        False, True, True, True,
    ]  # fmt: skip


UNUSABLE = {
    "an unknown class": ("0.png,middle", "no class 'middle'"),
    "a missing image": ("9.png,top left", "9.png"),
    "a file that is no image": ("list.csv,top left", "JPEG"),
    "a path that leads out": ("../1.png,top left", ""),
    "an absolute path": ("/etc/passwd,top left", ""),
    "an empty cell": (",top left", "empty"),
    "too few cells": ("1.png", ""),
    "several classes of one image": ("0.png,top left|top right", "2 classes"),
}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("case", UNUSABLE)
def test_a_wrong_annotation_is_a_row_with_its_place_and_reason(
    planner: Planner, pool: ModelPool, data: Path, case: str, batch: int
) -> None:
    """And the rows around it are judged."""
    line, telling = UNUSABLE[case]
    write_list(data / "mixed", ["0.png,top left", line, "1.png,top right"])
    before, bad, after = rows_of(planner, pool, "mixed", batch=batch)
    assert telling in bad.reason
    assert bad.reason
    assert (bad.location, bad.predicted, bad.correct) == ("list.csv:3", None, None)
    assert bad.index == 1
    assert bytes.fromhex(bad.digest)
    assert before.correct
    assert after.correct


def test_an_image_over_the_limit_is_a_bad_row(
    planner: Planner, pool: ModelPool, data: Path
) -> None:
    write_list(data / "large", ["0.png,top left"])
    (data / "large" / "0.png").write_bytes(picture(0) + bytes(LIMITS.bytes))
    (row,) = rows_of(planner, pool, "large")
    assert f"at most {LIMITS.bytes}" in row.reason


def test_flaws_of_the_data_set_are_kept_as_they_are(
    planner: Planner, pool: ModelPool, listed: str
) -> None:
    """Even those with characters that no database keeps."""
    judge = judge_of(planner, pool, asked(listed))
    (row,) = judge.rows([(7, Flaw("a\0b.png", "x\ud800.csv:3", "bad \0 thing"))])
    assert (row.index, row.path, row.location) == (7, "a\\0b.png", "x\\ud800.csv:3")
    assert row.reason == "bad \\0 thing"


def test_names_that_no_database_keeps_do_not_end_an_evaluation(
    planner: Planner, pool: ModelPool, listed: str
) -> None:
    judge = judge_of(planner, pool, asked(listed))
    odd = Sample("0.png", Labels(("to\0p \ud800",)), "list.csv:2")
    (row,) = judge.rows([(0, odd)])
    assert row.reason.encode()
    assert "\0" not in row.reason


def test_an_image_without_annotation_is_predicted_alone(
    planner: Planner, pool: ModelPool, data: Path
) -> None:
    (data / "photos").mkdir()
    (data / "photos" / "a.png").write_bytes(picture(2))
    (row,) = rows_of(planner, pool, "photos", dataset_format="images")
    assert row.predicted is not None
    assert (row.predicted.label, row.annotated, row.correct) == ("bottom left", None, None)
    assert row.reason == ""


class Busy:
    """A pool that is overloaded twice, then well; remembers the classes of work."""

    def __init__(self, pool: ModelPool) -> None:
        self._pool = pool
        self.refusals = 2
        self.priorities: list[Priority] = []

    def infer(self, *args: Any, **kwargs: Any) -> Any:
        self.priorities.append(kwargs["priority"])
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("full", retry_after=0.001)
        return self._pool.infer(*args, **kwargs)


def test_bulk_work_waits_where_there_is_no_room(
    planner: Planner, pool: ModelPool, listed: str
) -> None:
    busy = Busy(pool)
    judge = judge_of(planner, cast("ModelPool", busy), asked(listed))
    (row,) = judge.rows([(0, Sample("0.png", Labels(("top left",))))])
    assert row.correct
    assert busy.priorities == [Priority.BULK] * 3


def test_waiting_for_room_ends_with_the_evaluation(
    planner: Planner, pool: ModelPool, listed: str
) -> None:
    call, busy = Call(), Busy(pool)
    busy.refusals = 10**9
    judge = judge_of(planner, cast("ModelPool", busy), asked(listed), call)

    class Full(Busy):
        def infer(self, *_: Any, **__: Any) -> Any:
            call.check()
            raise Overloaded("full", retry_after=60)

    judge._pool = cast("ModelPool", Full(pool))
    threading.Timer(0.05, call.cancelled.set).start()
    with pytest.raises(Cancelled):
        judge.rows([(0, Sample("0.png", Labels(("top left",))))])


def table_model() -> ServedModel:
    """Twice the first feature plus the second."""
    row = ops.parameter([-1, 2], np.float32, name="row")
    row.output(0).get_tensor().set_names({"row"})
    out = ops.matmul(row, ops.constant(np.array([[2], [1]], np.float32)), False, False)
    graph = ov.Model([ops.result(out)], [row], "table")
    graph.output(0).get_tensor().set_names({"price"})
    return ServedModel(
        name="table",
        version=1,
        spec=ModelSpec.model_validate({"task": "regression", "labels": ["price"]}),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=(Port("row", "FP32", (-1, 2)),),
        outputs=(Port("price", "FP32", (-1, 1)),),
        layers=(),
    )


def test_rows_of_a_table_are_judged_without_images(
    planner: Planner, pool: ModelPool, data: Path, models: Any
) -> None:
    models._models["table"] = table_model()
    (data / "houses").mkdir()
    (data / "houses" / "houses.csv").write_text("a,b,target\n1,2,4\n3,1,8\n3,x,7\n")
    request = EvaluationRequest("table", "houses")
    plan = planner.plan(request, lambda: None)
    judge = Judge(pool, plan, plan.evaluator(), LIMITS, Call(), courtesy=Courtesy())
    first, second, bad = (judge.rows([item])[0] for item in enumerate(plan.rows()))
    assert (first.score, second.score) == (0.0, -1.0)
    assert first.path == "houses.csv:2"
    assert bad.reason
    assert len({first.digest, second.digest, bad.digest}) == 3
