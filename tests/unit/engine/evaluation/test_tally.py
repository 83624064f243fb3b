import hashlib
import itertools
from dataclasses import replace

import pytest

from pellucid_server.engine.evaluation.tally import Tally
from pellucid_server.evaluate.evaluator import Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.evaluate.report import Row
from pellucid_server.types import Category, Task


def row(index: int, *, right: bool = True, reason: str = "") -> Row:
    digest = hashlib.blake2b(str(index).encode(), digest_size=16).hexdigest()
    if reason:
        return Row(index, f"{index}.png", digest, reason=reason)
    said, meant = Category(0, "cat", 0.75), Category(0 if right else 1, "", 0.5)
    rank = 1 if right else 2
    return Row(index, f"{index}.png", digest, predicted=said, annotated=meant, rank=rank)


ROWS = [row(0), row(1, right=False), row(2, reason="no such file"), row(3)]


def fresh() -> Tally:
    judge = evaluator(Task.CLASSIFICATION, Options(labels=("cat", "dog")))
    return Tally(judge, total=len(ROWS))


def filled() -> Tally:
    tally = fresh()
    for each in ROWS:
        tally.add(each)
    return tally


def test_bad_annotations_are_counted_and_judged_no_further() -> None:
    report = filled().report()
    assert (report.images, report.bad_annotations) == (3, 1)
    assert {m.name: m.value for m in report.metrics}["top_1"] == pytest.approx(2 / 3, abs=0)


def test_the_digest_is_that_of_all_rows_in_order() -> None:
    joined = b"".join(bytes.fromhex(each.digest) for each in ROWS)
    assert filled().dataset_digest == hashlib.blake2b(joined, digest_size=16).hexdigest()


@pytest.mark.parametrize("change", ["order", "content", "length"])
def test_the_digest_tells_sets_apart(change: str) -> None:
    rows = {
        "order": [ROWS[1], ROWS[0], *ROWS[2:]],
        "content": [replace(ROWS[0], digest="00" * 16), *ROWS[1:]],
        "length": ROWS[:-1],
    }[change]
    other = fresh()
    for each in rows:
        other.add(each)
    assert other.dataset_digest != filled().dataset_digest


@pytest.mark.parametrize("split", range(len(ROWS) + 1))
def test_rows_told_anew_add_up_to_the_same(split: int) -> None:
    """Whatever the row at which an evaluation broke off."""
    tally = fresh()
    tally.replay(ROWS[:split])
    for each in ROWS[split:]:
        tally.add(each)
    report, whole = tally.report(), filled().report()
    assert replace(report, images_per_second=0) == replace(whole, images_per_second=0)
    assert tally.dataset_digest == filled().dataset_digest


def test_the_speed_is_that_of_the_rows_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second later at every look: what was replayed took no time here."""
    seconds = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    tally = fresh()
    tally.replay(ROWS[:2])
    tally.add(ROWS[3])
    assert tally.rate == 1.0


def test_progress_tells_what_is_done_and_left() -> None:
    tally = fresh()
    before = tally.progress()
    assert (before.done, before.total, before.remaining) == (0, 4, float("inf"))
    for each in ROWS:
        tally.add(each)
    after = tally.progress()
    assert (after.done, after.remaining) == (4, 0)
    assert "top_1" in {metric.name for metric in after.metrics}
