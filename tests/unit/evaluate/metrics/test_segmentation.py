import numpy as np
import pytest
from sklearn import metrics

from pellucid_server.evaluate.metrics.segmentation import DENSE, METRICS, PixelTally, compare


@pytest.mark.parametrize("classes", [2, 5, DENSE + 500])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_learn(classes: int, seed: int) -> None:
    """To 1e-13, over images counted one by one; some classes never occur."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, (4, 300), p=rng.dirichlet(np.full(classes, 0.3)))
    truth %= max(classes - 1, 1) if seed else classes
    said = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, classes, truth.shape))
    tally = PixelTally(())
    for each, other in zip(truth, said, strict=True):
        tally.add(compare(each, other.astype(np.uint16)), 1.0)
    t, p = truth.ravel(), said.ravel()
    ious = metrics.jaccard_score(t, p, average=None, labels=np.union1d(t, p))
    shares = np.array([(t == each).mean() for each in np.union1d(t, p)])
    expected = {
        "mean_iou": metrics.jaccard_score(t, p, average="macro"),
        "pixel_accuracy": metrics.accuracy_score(t, p),
        "mean_accuracy": metrics.recall_score(t, p, average="macro", labels=np.unique(t)),
        "frequency_weighted_iou": ious @ shares,
        "dice": metrics.f1_score(t, p, average="macro"),
    }
    report = tally.report()
    found = {each.name: each.value for each in report.metrics}
    assert set(found) == set(METRICS)
    assert found == pytest.approx(expected, rel=1e-13)
    matrix = metrics.confusion_matrix(t, p, labels=range(classes))
    assert {(c.annotated, c.predicted): c.count for c in report.confusions} == {
        (row, column): matrix[row, column] for row, column in np.argwhere(matrix).tolist()
    }
    assert [each.metrics[0].value for each in report.classes] == pytest.approx(ious.tolist())


def test_nothing_has_no_figures() -> None:
    assert PixelTally(()).report().metrics == ()
    assert compare(np.zeros(0, np.int64), np.zeros(0, np.uint16)) == []
