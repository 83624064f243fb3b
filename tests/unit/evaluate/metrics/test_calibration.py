import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from pellucid_server.evaluate.metrics.calibration import Calibration
from pellucid_server.evaluate.metrics.histogram import Histogram


@pytest.mark.parametrize("bins", [1, 15, 40])
def test_bins_are_those_of_scikit_learn(bins: int) -> None:
    """Means and shares to 1e-14, values on the edges of bins included."""
    rng = np.random.default_rng(bins)
    edges = np.linspace(0, 1, bins + 1)
    confidences = np.concatenate([rng.random(500), edges, rng.beta(9, 1, 500)])
    correct = rng.random(len(confidences)) < confidences
    calibration = Calibration(bins)
    for confidence, right in zip(confidences.tolist(), correct.tolist(), strict=True):
        calibration.add(confidence, correct=right)
    shares, means = calibration_curve(correct, confidences, n_bins=bins)
    curve = calibration.curve()
    np.testing.assert_allclose(curve.x, means, rtol=1e-14)
    np.testing.assert_allclose(curve.y, shares, rtol=1e-14)
    counts = np.array(curve.counts)
    assert counts.sum() == len(confidences)
    expected = float(np.abs(shares - means) @ counts / counts.sum())
    assert calibration.error == pytest.approx(expected, rel=1e-13)


def test_by_hand() -> None:
    calibration = Calibration(2)
    for confidence, correct in ((0.25, True), (0.5, False), (1.0, True)):
        calibration.add(confidence, correct=correct)
    assert calibration.error == pytest.approx((abs(1 - 0.75) + 0) / 3)


def test_values_beyond_the_ends_count_in_the_bin_at_the_end() -> None:
    histogram = Histogram(4, 2.0)
    for value in (-1.0, 0.0, 0.5, 0.6, 2.0, 9.0):
        histogram.add(value)
    assert histogram.counts.tolist() == [3, 1, 0, 2]
    assert histogram.curve("scores", "x").x == (0, 0.5, 1, 1.5)
