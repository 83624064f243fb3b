import numpy as np
import pytest
from scipy import stats

from pellucid_server.evaluate.comparison.maps import correlation


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_correlation_is_scipy_s(scale: float) -> None:
    random = np.random.default_rng(0)
    one = random.random((20, 30), np.float32)
    other = (one + random.random((20, 30), np.float32)).astype(np.float32)
    expected = stats.pearsonr(one.ravel().astype(float), other.ravel().astype(float)).statistic
    assert correlation(one * scale, other) == pytest.approx(expected, abs=1e-6)


def test_maps_that_differ_in_scale_and_offset_agree_wholly() -> None:
    one = np.random.default_rng(0).random((5, 5))
    assert correlation(one, 3 * one - 7) == pytest.approx(1, abs=1e-12)
    assert correlation(one, 5 - one) == pytest.approx(-1, abs=1e-12)
    assert correlation(one, one) <= 1


@pytest.mark.parametrize(
    "other",
    [np.zeros((5, 5)), np.full((5, 5), 0.1), np.full((5, 5), np.nan), np.full((5, 5), np.inf)],
    ids=["nothing", "all alike", "nan", "inf"],
)
def test_a_map_that_says_nothing_has_no_correlation(other: np.ndarray) -> None:
    one = np.random.default_rng(0).random((5, 5))
    assert np.isnan(correlation(one, other))
    assert np.isnan(correlation(other, one))
    assert np.isnan(correlation(other, other))


def test_maps_of_two_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        correlation(np.zeros((2, 3)), np.zeros((3, 2)))
