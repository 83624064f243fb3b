"""Comparisons of two evaluations, row by row."""

import base64
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.compare import Change, Comparison, Settings, compare
from pellucid_server.evaluate.evaluator import Evaluator, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.evaluate.report import Row
from pellucid_server.types import Category, Task

NAMES = ("cat", "dog", "eel")
QUICK = Settings(resamples=200)


def judge() -> Evaluator:
    return evaluator(Task.CLASSIFICATION, Options(NAMES))


def row(
    index: int, said: str | None, confidence: float = 0.9, told: str | None = None, **more: Any
) -> Row:
    """An image and what was said of it; `told`: what is annotated."""
    predicted = said and Category(NAMES.index(said), said, confidence)
    annotated = told and Category(NAMES.index(told), told, confidence if told == said else 0.05)
    return Row(
        index,
        f"{index}.png",
        predicted=predicted or None,
        annotated=annotated or None,
        correct=said == told if told else None,
        rank=(1 if said == told else 2) if told else 0,
        **more,
    )


def compared(baseline: list[Row], candidate: list[Row], **settings: Any) -> Comparison:
    both = judge(), judge()
    return compare(iter(baseline), iter(candidate), both, replace(QUICK, **settings))


class TestFlips:
    def test_what_became_wrong_right_or_another_is_told_apart(self) -> None:
        baseline = [row(0, "cat", 0.9, "cat"), row(1, "cat", 0.8, "dog"), row(2, "cat", 0.7, "eel")]
        candidate = [
            row(0, "dog", 0.6, "cat"),
            row(1, "dog", 0.5, "dog"),
            row(2, "dog", 0.4, "eel"),
        ]
        found = compared(
            [*baseline, row(3, "cat", 0.9, "cat")], [*candidate, row(3, "cat", 0.3, "cat")]
        )
        assert (found.became_wrong, found.became_right, found.disagreements) == (1, 1, 3)
        assert [(each.index, each.change) for each in found.flips] == [
            (0, Change.BECAME_WRONG),
            (1, Change.BECAME_RIGHT),
            (2, Change.CHANGED),
        ]
        first = found.flips[0]
        assert first.baseline
        assert first.candidate
        assert first.annotated
        assert (first.path, first.baseline.label, first.candidate.label) == ("0.png", "cat", "dog")
        assert first.annotated.label == "cat"

    def test_the_most_confident_are_kept_and_all_are_counted(self) -> None:
        chance = random.Random(1)  # noqa: S311 - no secret
        confidences = [chance.random() for _ in range(300)]
        baseline = [row(index, "cat", 0.9) for index in range(300)]
        candidate = [row(index, "dog", each) for index, each in enumerate(confidences)]
        found = compared(baseline, candidate, flips=7)
        best = sorted(range(300), key=lambda each: -confidences[each])[:7]
        assert [each.index for each in found.flips] == best
        assert found.disagreements == 300

    def test_of_equally_confident_ones_the_first_are_kept(self) -> None:
        baseline = [row(index, "cat") for index in range(9)]
        candidate = [row(index, "dog", 0.5) for index in range(9)]
        assert [each.index for each in compared(baseline, candidate, flips=3).flips] == [0, 1, 2]

    def test_none_are_kept_where_none_are_asked_for(self) -> None:
        found = compared([row(0, "cat")], [row(0, "dog")], flips=0)
        assert (found.flips, found.disagreements) == ((), 1)

    def test_images_that_are_not_annotated_disagree_but_nobody_is_wrong(self) -> None:
        found = compared([row(0, "cat"), row(1, "cat")], [row(0, "dog"), row(1, "cat")])
        assert (found.disagreements, found.became_wrong, found.became_right) == (1, 0, 0)
        assert [each.change for each in found.flips] == [Change.CHANGED]

    def test_predicting_nothing_is_another_answer(self) -> None:
        """Of objects: the confidence is then the baseline's."""
        task = evaluator(Task.DETECTION, Options(NAMES))
        detail: dict[str, list[float]] = {"classes": [], "scores": []}
        baseline = [row(0, "cat", 0.6, detail=detail), row(1, "cat", 0.7, detail=detail)]
        candidate = [row(0, None, detail=detail), row(1, None, detail=detail)]
        found = compare(baseline, candidate, (task, task), QUICK)
        assert [(each.index, each.candidate) for each in found.flips] == [(1, None), (0, None)]

    def test_classes_are_one_by_name_where_models_number_them_differently(self) -> None:
        one = [replace(row(0, "cat"), predicted=Category(0, "cat", 0.9))]
        other = [replace(row(0, "cat"), predicted=Category(2, "cat", 0.9))]
        nameless = [replace(row(0, "cat"), predicted=Category(2, "", 0.9))]
        assert compared(one, other).disagreements == 0
        assert compared(one, nameless).disagreements == 1


class TestAlignment:
    def test_images_that_one_alone_has_are_left_out_and_counted(self) -> None:
        baseline = [row(index, "cat", told="cat") for index in (0, 1, 2, 5, 8)]
        candidate = [row(index, "cat", told="cat") for index in (1, 2, 3, 4, 8, 9)]
        found = compared(baseline, candidate)
        assert (found.images, found.only_baseline, found.only_candidate) == (3, 2, 3)

    def test_an_index_with_two_paths_is_two_images(self) -> None:
        baseline = [row(0, "cat"), row(1, "cat")]
        candidate = [replace(row(0, "dog"), path="other.png"), row(1, "cat")]
        found = compared(baseline, candidate)
        assert (found.images, found.only_baseline, found.only_candidate) == (1, 1, 1)
        assert found.disagreements == 0

    def test_bad_annotations_count_as_if_they_were_not_there(self) -> None:
        bad = replace(row(1, None), reason="unknown class")
        found = compared([row(0, "cat"), bad, row(2, "cat")], [row(0, "cat"), bad, row(2, "cat")])
        assert (found.images, found.only_baseline, found.only_candidate) == (2, 0, 0)
        found = compared([row(0, "cat"), bad], [row(0, "cat"), row(1, "cat")])
        assert (found.images, found.only_candidate) == (1, 1)

    def test_images_that_were_changed_are_counted(self) -> None:
        baseline = [row(index, "cat", digest="a") for index in range(3)]
        candidate = [
            row(0, "cat", digest="a"),
            row(1, "cat", digest="b"),
            row(2, "cat", digest="c"),
        ]
        found = compared(baseline, candidate)
        assert (found.images, found.differing_digests) == (3, 2)

    def test_nothing_in_common_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="no image in common") as error:
            compared([row(0, "cat")], [row(1, "cat")])
        assert error.value.field == "candidate"

    def test_two_tasks_are_refused(self) -> None:
        other = evaluator(Task.DETECTION, Options(NAMES))
        with pytest.raises(InvalidInput, match="one task") as error:
            compare([row(0, "cat")], [row(0, "cat")], (judge(), other))
        assert error.value.field == "candidate"

    def test_rows_out_of_order_are_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="comes after"):
            compared([row(1, "cat"), row(0, "cat")], [row(0, "cat"), row(1, "cat")])

    def test_rows_are_read_once_and_as_a_stream(self) -> None:
        """Never is a row of one read more than one ahead of the other."""
        read = [0, 0]

        def stream(side: int) -> Iterator[Row]:
            for index in range(200):
                read[side] += 1
                assert abs(read[0] - read[1]) <= 1
                yield row(index, "cat", told="cat")

        assert compare(stream(0), stream(1), (judge(), judge()), QUICK).images == 200


class TestDeltas:
    def made(self, seed: int, count: int = 300) -> list[Row]:
        """By the judge: the annotated class gets more confidence than others."""
        chance = np.random.default_rng([seed])
        truth = np.random.default_rng(7).integers(0, 3, count)
        rows = []
        for index, told in enumerate(truth.tolist()):
            shares = chance.dirichlet(np.ones(3) + np.eye(3)[told] * (1 + seed))
            sample = Sample(f"{index}.png", Labels((NAMES[told],)))
            rows.append(judge().row(index, sample, shares.astype(np.float32), open, None))  # type: ignore[arg-type]  # reads no picture
        return rows

    def test_values_are_the_reports_and_intervals_hold_the_differences(self) -> None:
        one, other = self.made(1), self.made(2)
        found = compare(one, other, (judge(), judge()), QUICK)
        reports = []
        for rows in (one, other):
            whole = judge()
            for image in rows:
                whole.add(image)
            reports.append({metric.name: metric.value for metric in whole.report().metrics})
        names = [each.name for each in found.deltas]
        assert names == [*reports[0], "mean_score"]
        for each in found.deltas[:-1]:
            assert (each.baseline, each.candidate) == tuple(report[each.name] for report in reports)
            assert each.low <= each.delta <= each.high
        score = found.deltas[-1]
        assert score.baseline == pytest.approx(np.mean([each.score for each in one]))

    def test_an_evaluation_beside_itself_differs_by_nothing(self) -> None:
        rows = self.made(1)
        found = compare(rows, rows, (judge(), judge()), QUICK)
        assert {(each.delta, each.low, each.high) for each in found.deltas} == {(0.0, 0.0, 0.0)}

    def test_the_same_seed_gives_the_same_and_another_gives_another(self) -> None:
        one, other = self.made(1), self.made(2)
        first, again, third = (
            compare(one, other, (judge(), judge()), replace(QUICK, seed=seed)) for seed in (0, 0, 1)
        )
        assert first == again
        assert first.deltas != third.deltas

    def test_a_swap_of_the_two_mirrors_everything(self) -> None:
        one, other = self.made(1), self.made(2)
        there = compare(one, other, (judge(), judge()), QUICK)
        back = compare(other, one, (judge(), judge()), QUICK)
        for each, mirrored in zip(there.deltas, back.deltas, strict=True):
            ends = (-mirrored.high, -mirrored.low)
            assert (each.low, each.high) == pytest.approx(ends, abs=1e-12)
        assert (there.became_wrong, there.became_right) == (back.became_right, back.became_wrong)

    def test_metrics_that_are_not_resampled_have_no_ends(self) -> None:
        """Mean average precision of classes."""
        options = Options(NAMES, multi_label=True)
        judges = [evaluator(Task.CLASSIFICATION, options) for _ in range(2)]
        samples = [Sample("0.png", Labels(("cat",))), Sample("1.png", Labels(("dog", "eel")))]
        confidences = np.array([0.9, 0.2, 0.6], np.float32)
        rows = [
            judges[0].row(index, sample, confidences, open, None)  # type: ignore[arg-type]  # reads no picture
            for index, sample in enumerate(samples)
        ]
        found = compare(rows, rows, (judges[0], judges[1]), QUICK)
        by_name = {each.name: each for each in found.deltas}
        assert np.isnan([by_name["map"].low, by_name["map"].high]).all()
        assert by_name["map"].delta == 0
        assert np.isfinite([by_name["exact_match"].low, by_name["exact_match"].high]).all()


class TestShift:
    def test_the_shift_is_of_the_class_that_the_baseline_predicts(self) -> None:
        """Known of the same class, and of the annotated one; else the image does not tell."""
        baseline = [row(0, "cat", 0.9), row(1, "cat", 0.8, "cat"), row(2, "cat", 0.7)]
        candidate = [row(0, "cat", 0.5), row(1, "dog", 0.6, "cat"), row(2, "dog", 0.6)]
        found = compared(baseline, candidate)
        shift = found.confidence_shift
        assert shift
        assert found.shift_images == 2
        assert shift.baseline == pytest.approx(0.85)
        assert shift.candidate == pytest.approx((0.5 + 0.05) / 2)
        assert shift.low <= shift.delta <= shift.high

    def test_the_best_classes_tell_where_a_row_has_them(self) -> None:
        top = {"top": [[1, 0.6], [0, 0.3]]}
        baseline = [row(0, "cat", 0.9), row(1, "eel", 0.8)]
        candidate = [row(0, "dog", 0.6, detail=top), row(1, "dog", 0.6, detail=top)]
        found = compared(baseline, candidate)
        assert found.shift_images == 2
        assert found.confidence_shift
        assert found.confidence_shift.candidate == pytest.approx((0.3 + 0) / 2)

    def test_all_confidences_tell(self) -> None:
        values = base64.b64encode(np.array([0.2, 0.6, 0.1], "<f4").tobytes()).decode()
        detail = {"confidences": values, "predicted": [1]}
        other = [row(0, "dog", 0.6, detail=detail)]
        multi = [evaluator(Task.CLASSIFICATION, Options(NAMES, multi_label=True)) for _ in "12"]
        found = compare([row(0, "cat", 0.9, detail=detail)], other, (multi[0], multi[1]), QUICK)
        assert found.confidence_shift
        assert found.confidence_shift.candidate == pytest.approx(0.2)

    def test_without_predictions_there_is_none(self) -> None:
        regression = evaluator(Task.REGRESSION, Options(()))
        rows = [Row(0, "0", score=-1.0, detail={"values": [1.0], "targets": [2.0]})]
        found = compare(rows, rows, (regression, evaluator(Task.REGRESSION, Options(()))), QUICK)
        assert (found.confidence_shift, found.shift_images) == (None, 0)


def test_times_are_medians() -> None:
    """To half a percent, the lower of two in the middle."""
    seconds = [0.001, 0.002, 0.0031, 0.5]
    baseline = [row(index, "cat", seconds=each) for index, each in enumerate(seconds)]
    candidate = [row(index, "cat") for index in range(4)]
    one, other = compared(baseline, candidate).seconds
    assert one == pytest.approx(0.002, rel=0.005)
    assert np.isnan(other)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"resamples": 99}, "resamples"),
        ({"resamples": 10_001}, "resamples"),
        ({"flips": -1}, "flips"),
    ],
)
def test_settings_out_of_bounds(settings: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Settings(**settings)
    assert error.value.field == field
