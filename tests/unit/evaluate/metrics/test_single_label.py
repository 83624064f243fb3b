import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from pellucid_server.evaluate.metrics.single_label import CURVES, METRICS, SingleLabelTally
from pellucid_server.evaluate.report import Report
from pellucid_server.types import Category

Confidences = NDArray[np.float64]


def tallied(truth: NDArray[np.int64], confidences: Confidences) -> SingleLabelTally:
    tally = SingleLabelTally([f"class {each}" for each in range(confidences.shape[1])])
    for target, row in zip(truth.tolist(), confidences, strict=True):
        best = int(row.argmax())
        rank = 1 + int((row > row[target]).sum()) + int((row[:target] == row[target]).sum())
        tally.add(
            Category(best, "", float(row[best])), Category(target, "", float(row[target])), rank
        )
    return tally


def figures(report: Report) -> dict[str, float]:
    return {each.name: each.value for each in report.metrics}


def expected(truth: NDArray[np.int64], confidences: Confidences) -> dict[str, float]:
    """By scikit-learn, which takes the last of equal confidences where we take the first."""
    said, classes = confidences.argmax(1), range(confidences.shape[1])
    found = {
        "top_1": metrics.accuracy_score(truth, said),
        "log_loss": metrics.log_loss(truth, confidences, labels=classes),
    }
    turned = confidences[:, ::-1], len(classes) - 1 - truth
    found["top_5"] = (
        metrics.top_k_accuracy_score(turned[1], turned[0], k=5, labels=classes)
        if len(classes) > 5
        else 1.0
    )
    for average in ("macro", "weighted"):
        values = metrics.precision_recall_fscore_support(
            truth, said, average=average, zero_division=0
        )
        names = (f"{kind}_{average}" for kind in ("precision", "recall", "f1"))
        found |= dict(zip(names, values[:3], strict=True))
    return found


@pytest.mark.parametrize("classes", [3, 8, 40])
@pytest.mark.parametrize("digits", [1, 17], ids=["ties", "distinct"])
def test_equal_to_scikit_learn(classes: int, digits: int) -> None:
    """To 1e-13; with many equal confidences, some of 0 and of 1, and classes that never occur."""
    rng = np.random.default_rng(classes)
    confidences = rng.dirichlet(np.full(classes, 0.2), 300).round(digits)
    confidences[:, 0] += 1 - confidences.sum(1)
    confidences = confidences.clip(0, 1)
    confidences /= confidences.sum(1, keepdims=True)
    truth = rng.integers(0, classes - 1, 300)
    found = figures(tallied(truth, confidences).report())
    assert set(found) == set(METRICS)
    reference = expected(truth, confidences)
    assert {name: found[name] for name in reference} == pytest.approx(reference, rel=1e-13)


def test_classes_and_confusions_equal_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    confidences = rng.dirichlet(np.ones(6), 200)
    truth = rng.integers(0, 5, 200)
    report = tallied(truth, confidences).report()
    said = confidences.argmax(1)
    columns = metrics.precision_recall_fscore_support(truth, said, zero_division=0)
    for each, *values in zip(report.classes, *columns, strict=True):
        assert [each.precision, each.recall, each.f1, each.support] == pytest.approx(values)
        chosen = confidences.max(1)[said == each.category.class_id]
        assert each.category.confidence == pytest.approx(chosen.mean() if len(chosen) else 0)
    matrix = metrics.confusion_matrix(truth, said)
    assert {(c.annotated, c.predicted): c.count for c in report.confusions} == {
        (row, column): matrix[row, column] for row, column in np.argwhere(matrix).tolist()
    }


def test_one_class_alone() -> None:
    tally = SingleLabelTally(["only"])
    tally.add(Category(0, "only", 1.0), Category(0, "only", 1.0), 1)
    found = figures(tally.report())
    assert found["top_1"] == found["f1_macro"] == 1
    reference = metrics.log_loss([0], [[1.0, 0.0]], labels=[0, 1])
    assert found["log_loss"] == pytest.approx(reference, rel=1e-15, abs=0)


def test_a_confidence_of_nothing_costs_what_scikit_learn_says() -> None:
    tally = SingleLabelTally(["a", "b"])
    tally.add(Category(0, "a", 1.0), Category(1, "b", 0.0), 2)
    assert figures(tally.report())["log_loss"] == metrics.log_loss([1], [[1.0, 0.0]], labels=[0, 1])
    assert math.isclose(figures(tally.report())["log_loss"], -math.log(2**-52))


def test_images_without_annotation_have_counts_and_a_histogram() -> None:
    tally = SingleLabelTally(["a", "b"])
    for confidence in (0.5, 0.75):
        tally.add_unknown(Category(1, "b", confidence))
    report = tally.report()
    assert figures(report) == {"mean_confidence": 0.625}
    assert [(each.category.label, each.metrics[0].value) for each in report.classes] == [("b", 2)]
    (curve,) = report.curves
    assert (curve.name, sum(curve.counts)) == ("scores", 2)


def test_no_rows_no_figures() -> None:
    assert SingleLabelTally([]).report() == Report(())


def test_precision_over_recall_is_that_of_predictions_from_a_confidence_on() -> None:
    tally = SingleLabelTally(["a", "b"])
    for confidence, target in ((0.905, 0), (0.805, 1), (0.705, 0), (0.605, 1)):
        tally.add(Category(0, "a", confidence), Category(target, "", 0.1), 1 + target)
    curve = next(each for each in tally.report().curves if each.label == "a")
    kept = [0, 10, 20, 30]
    assert [curve.x[each] for each in kept] == [0.5, 0.5, 1, 1]
    assert [curve.y[each] for each in kept] == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert [curve.counts[each] for each in kept] == [1, 2, 3, 4]


def test_the_classes_annotated_most_get_curves() -> None:
    tally = SingleLabelTally([])
    for class_id in range(CURVES + 5):
        for _ in range(class_id + 1):
            tally.add(Category(class_id, "", 0.5), Category(class_id, "", 0.5), 1)
    curves = [each.label for each in tally.report().curves if each.name == "precision_recall"]
    assert curves == [str(each) for each in range(CURVES + 4, 4, -1)]
