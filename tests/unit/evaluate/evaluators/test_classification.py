from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Labels, Sample, Values
from pellucid_server.evaluate.evaluator import BadAnnotation, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.evaluate.report import Report
from pellucid_server.types import Category, Task

LABELS = ["a", "b", "c", "d", "e", "f", "g"]
OPTIONS = Options(LABELS)
MULTI = Options(LABELS, multi_label=True)
Figures = Callable[[Report], dict[str, float]]


def test_a_row_says_what_was_predicted_what_is_annotated_and_its_rank(judge: Any) -> None:
    confidences = np.array([0.1, 0.3, 0.2, 0.3, 0.1, 0.0, 0.0])
    truths = ["b", "d", "c", "e"]
    rows, report = judge(
        Task.CLASSIFICATION, [(Labels((each,)), confidences) for each in truths], OPTIONS
    )
    assert [row.rank for row in rows] == [1, 2, 3, 5]
    assert [row.correct for row in rows] == [True, False, False, False]
    assert all(row.predicted == Category(1, "b", 0.3) for row in rows)
    assert rows[1].annotated == Category(3, "d", 0.3)
    assert [row.score for row in rows] == [0.3, 0.3, 0.2, 0.1]
    assert {each.name: each.value for each in report.metrics}["mean_rank"] == 11 / 4


def test_a_row_keeps_the_five_best_classes(judge: Any) -> None:
    """Confidences to six digits, of equal ones the first first; fewer where there are fewer."""
    confidences = np.array([0.1, 0.3, 1 / 3, 0.3, 0.0, 0.05, 2e-7], np.float32)
    (row, other), _ = judge(
        Task.CLASSIFICATION, [(Labels(("b",)), confidences), (None, confidences)], OPTIONS
    )
    best = [[2, 0.333333], [1, 0.3], [3, 0.3], [0, 0.1], [5, 0.05]]
    assert row.detail == other.detail == {"top": best}
    assert row.annotated.confidence == float(np.float32(0.3))  # as it is
    (row,), _ = judge(Task.CLASSIFICATION, [(None, np.array([0.25, 0.75]))])
    assert row.detail == {"top": [[1, 0.75], [0, 0.25]]}


def test_many_rows_equal_scikit_learn(judge: Any, figures: Figures) -> None:
    """To 1e-13."""
    rng = np.random.default_rng(0)
    confidences = rng.dirichlet(np.ones(7), 200)
    truth = rng.integers(0, 7, 200)
    pairs = [(Labels((LABELS[each],)), row) for each, row in zip(truth, confidences, strict=True)]
    _, report = judge(Task.CLASSIFICATION, pairs, OPTIONS)
    found = figures(report)
    for name, reference in (
        ("top_1", metrics.accuracy_score(truth, confidences.argmax(1))),
        ("top_5", metrics.top_k_accuracy_score(truth, confidences, k=5)),
        ("log_loss", metrics.log_loss(truth, confidences)),
    ):
        assert found[name] == pytest.approx(reference, rel=1e-13)


def test_single_precision_confidences_are_taken_as_they_are(judge: Any) -> None:
    confidences = np.array([0.1, 0.9], np.float32)
    (row,), _ = judge(Task.CLASSIFICATION, [(Labels(("1",)), confidences)])
    assert row.score == float(np.float32(0.9))


def test_images_without_annotation_are_only_predicted(judge: Any, figures: Figures) -> None:
    pairs = [(None, np.array([0.25, 0.75])), (Labels(("0",)), np.array([0.5, 0.5]))]
    rows, report = judge(Task.CLASSIFICATION, pairs)
    assert (rows[0].correct, rows[0].annotated, rows[0].rank) == (None, None, 0)
    assert rows[0].predicted == Category(1, "", 0.75)
    assert figures(report)["top_1"] == 1
    _, report = judge(Task.CLASSIFICATION, pairs[:1])
    assert figures(report) == {"mean_confidence": 0.75}


def test_a_multi_label_row(judge: Any) -> None:
    confidences = np.array([0.9, 0.6, 0.1, 0.5, 0.2, 0.3, 0.0])
    (row,), _ = judge(Task.CLASSIFICATION, [(Labels(("c", "a", "a")), confidences)], MULTI)
    assert row.predicted == Category(0, "a", 0.9)
    assert row.annotated == Category(2, "c", 0.1)
    assert (row.rank, row.correct, row.missed, row.extra) == (6, False, 1, 2)
    assert row.score == pytest.approx(2 * 1 / (3 + 2))


def test_many_multi_label_rows_equal_scikit_learn(judge: Any, figures: Figures) -> None:
    """To 1e-13, at another threshold; some images have no class, some are not annotated."""
    rng = np.random.default_rng(0)
    truth = rng.random((100, 7)) < 0.2
    confidences = (rng.random((100, 7)) * 0.6 + 0.4 * truth).astype(np.float32)
    pairs = [
        (Labels(tuple(np.array(LABELS)[each])), row)
        for each, row in zip(truth, confidences, strict=True)
    ]
    options = Options(LABELS, multi_label=True, threshold=0.55)
    rows, report = judge(Task.CLASSIFICATION, [*pairs, (None, confidences[0])], options)
    said = confidences >= 0.55
    found = figures(report)
    for average in ("micro", "macro"):
        reference = metrics.f1_score(truth, said, average=average)
        assert found[f"f1_{average}"] == pytest.approx(reference, rel=1e-13)
    assert found["exact_match"] == metrics.accuracy_score(truth, said)
    exact = metrics.average_precision_score(truth, confidences)
    assert found["map"] == pytest.approx(exact, abs=5e-3)
    assert [row.correct for row in rows] == [*(truth == said).all(1).tolist(), None]


@pytest.mark.parametrize(
    ("annotation", "options", "message"),
    [
        (Labels(("a", "b")), OPTIONS, "2 classes and the model gives one"),
        (Labels(()), OPTIONS, "0 classes"),
        (Labels(("z",)), OPTIONS, "no class 'z'"),
        (Labels(("9",)), Options(()), "'9' and the model has 7"),
        (Labels(("z",)), MULTI, "no class 'z'"),
        (Values((1.0,)), OPTIONS, "no classes"),
    ],
)
def test_annotations_that_do_not_fit(annotation: Any, options: Options, message: str) -> None:
    judge = evaluator(Task.CLASSIFICATION, options)
    with pytest.raises(BadAnnotation, match=message):
        judge.row(0, Sample("a.png", annotation), np.ones(7) / 7, lambda _: np.zeros(0), None)


def test_bins_are_a_parameter(judge: Any) -> None:
    options = Options((), parameters={"bins": "1", "delimiter": ";"})
    pairs = [(Labels((each,)), np.array([0.8, 0.2])) for each in ("0", "1")]
    _, report = judge(Task.CLASSIFICATION, pairs, options)
    assert next(each for each in report.curves if each.name == "reliability").y == (0.5,)
    with pytest.raises(InvalidInput) as caught:
        evaluator(Task.CLASSIFICATION, Options((), parameters={"bins": "0"}))
    assert caught.value.field == "parameters[bins]"


def test_only_the_metrics_asked_for(judge: Any, figures: Figures) -> None:
    options = Options((), metrics=["ece", "top_1"])
    _, report = judge(Task.CLASSIFICATION, [(Labels(("0",)), np.array([1.0, 0.0]))], options)
    assert figures(report) == {"top_1": 1, "ece": 0}
