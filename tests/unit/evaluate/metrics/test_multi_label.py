import numpy as np
import pytest
from sklearn import metrics

from pellucid_server.evaluate.metrics.multi_label import (
    BINS,
    POINTS,
    MultiLabelTally,
    log_odds_bin,
)


@pytest.fixture(scope="module")
def filled() -> tuple[MultiLabelTally, np.ndarray, np.ndarray]:
    """400 images of 6 classes, of which the fifth never occurs; confidences near 0 and 1."""
    rng = np.random.default_rng(0)
    truth = rng.random((400, 6)) < [0.5, 0.1, 0.9, 0.02, 0, 0.3]
    odds = rng.normal(0, 4, truth.shape) + 3 * truth
    confidences = (1 / (1 + np.exp(-odds))).astype(np.float32)
    confidences[:50] = confidences[:50].round(1)
    tally = MultiLabelTally(list("abcdef"))
    for row, annotated in zip(confidences, truth, strict=True):
        predicted = np.flatnonzero(row >= 0.5).tolist()
        tally.add(row, predicted, np.flatnonzero(annotated).tolist())
    return tally, confidences, truth


def test_equal_to_scikit_learn(
    filled: tuple[MultiLabelTally, np.ndarray, np.ndarray],
) -> None:
    """To 1e-13; average precision is that of confidences rounded to bins."""
    tally, confidences, truth = filled
    report = tally.report()
    found = {each.name: each.value for each in report.metrics}
    said = confidences >= 0.5
    expected = {"exact_match": metrics.accuracy_score(truth, said)}
    for average in ("macro", "micro"):
        values = metrics.precision_recall_fscore_support(
            truth, said, average=average, zero_division=0
        )
        names = (f"{kind}_{average}" for kind in ("precision", "recall", "f1"))
        expected |= dict(zip(names, values[:3], strict=True))
    having = [0, 1, 2, 3, 5]
    rounded = log_odds_bin(confidences)
    expected["map"] = metrics.average_precision_score(
        truth[:, having], rounded[:, having], average="macro"
    )
    assert found == pytest.approx(expected, rel=1e-13)
    columns = metrics.precision_recall_fscore_support(truth, said, zero_division=0)
    for each in report.classes:
        values = [column[each.category.class_id] for column in columns]
        assert [each.precision, each.recall, each.f1, each.support] == pytest.approx(values)


def test_rounding_hardly_changes_average_precision(
    filled: tuple[MultiLabelTally, np.ndarray, np.ndarray],
) -> None:
    """To 2e-3 of exact confidences, on 400 images."""
    tally, confidences, truth = filled
    for each in tally.report().classes:
        ap = {metric.name: metric.value for metric in each.metrics}.get("ap")
        column = each.category.class_id
        if ap is not None:
            exact = metrics.average_precision_score(truth[:, column], confidences[:, column])
            assert ap == pytest.approx(exact, abs=2e-3)


def test_curves_are_points_of_scikit_learn_s(
    filled: tuple[MultiLabelTally, np.ndarray, np.ndarray],
) -> None:
    tally, confidences, truth = filled
    curves = {each.label: each for each in tally.report().curves}
    assert list(curves) == list("cafbd")
    precision, recall, _ = metrics.precision_recall_curve(
        truth[:, 0], log_odds_bin(confidences[:, 0])
    )
    points = {(x, y) for x, y in zip(recall.round(12), precision.round(12), strict=True)}
    curve = curves["a"]
    assert len(curve.x) == POINTS
    assert {(round(x, 12), round(y, 12)) for x, y in zip(curve.x, curve.y, strict=True)} <= points


def test_every_single_precision_confidence_has_a_bin() -> None:
    values = np.array([0, 1e-45, 1e-7, 0.5, 1 - 6e-8, 1], np.float32)
    bins = log_odds_bin(values)
    assert (np.diff(bins) >= 0).all()
    assert (bins[0], bins[3], bins[-1]) == (0, BINS // 2, BINS - 1)
    assert len(set(bins.tolist())) == 5


def test_images_without_annotation_have_counts_and_a_histogram() -> None:
    tally = MultiLabelTally(["a", "b"])
    tally.add_unknown(np.array([0.25, 0.75], np.float32), [1])
    report = tally.report()
    assert report.metrics == ()
    assert [(each.category.label, each.category.confidence) for each in report.classes] == [
        ("b", 0.75)
    ]
    assert sum(report.curves[0].counts) == 1


def test_images_of_no_class_count_as_right() -> None:
    tally = MultiLabelTally(["a"])
    tally.add(np.array([0.1], np.float32), [], [])
    found = {each.name: each.value for each in tally.report().metrics}
    assert (found["exact_match"], found["f1_micro"], "map" in found) == (1, 0, False)
