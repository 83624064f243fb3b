"""The Poisson bootstrap against SciPy's, and against what an interval promises."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pellucid_server.evaluate.comparison.bootstrap import (
    BLOCK,
    DRAWN,
    Resampled,
    Weights,
    interval,
)
from pellucid_server.evaluate.comparison.statistics import mean


def ends(differences: NDArray[np.float64], resamples: int, seed: int) -> tuple[float, float]:
    """The interval of the mean of a stream of differences."""
    resampled = Resampled(Weights(resamples, seed))
    for index, difference in enumerate(differences.tolist()):
        resampled.add(index, (("sum", difference), ("count", 1)))
    return interval(mean(resampled.sums["sum"], resampled.sums["count"]))


def test_images_are_drawn_as_often_as_poisson_says() -> None:
    """Every share to a part of 2 to the 16."""
    shares = np.bincount(DRAWN.astype(int)) / len(DRAWN)
    expected = stats.poisson(1).pmf(np.arange(len(shares)))
    assert np.abs(shares - expected).max() <= 2**-16
    assert DRAWN.mean() == pytest.approx(1, abs=1e-4)
    assert DRAWN.var() == pytest.approx(1, abs=1e-3)


def test_draws_depend_on_seed_and_index_alone() -> None:
    """Not on the images before."""
    numbers = [0, 1, 2, 10, 10**10]
    together = Weights(50, 3)
    for number in [*numbers, *reversed(numbers)]:
        assert np.array_equal(together.block(number), Weights(50, 3).block(number))
    assert not np.array_equal(Weights(50, 3).block(1), Weights(50, 3).block(2))
    assert not np.array_equal(Weights(50, 3).block(1), Weights(50, 4).block(1))


def test_images_are_drawn_independently() -> None:
    """Correlations over 2,000 resamples: as far from 0 as chance has it."""
    table = np.concatenate([Weights(2000, 0).block(number) for number in range(2)])
    above = np.asarray(np.corrcoef(table))[np.triu_indices(2 * BLOCK, 1)]
    assert above.std() == pytest.approx(1 / np.sqrt(2000), rel=0.05)
    assert abs(above.mean()) < 1e-3


@pytest.mark.parametrize("often", [1, 3, 1000])
def test_sums_are_those_of_every_image_drawn(often: int) -> None:
    """Whether keys are frequent or rare, images missing, and read in the middle or not."""
    random = np.random.default_rng(0)
    weights = Weights(20, 1)
    resampled, expected = Resampled(weights), dict.fromkeys(range(often), np.zeros(20))
    for index in sorted(random.choice(1000, 700, replace=False).tolist()):
        key, value = int(random.integers(often)), float(random.normal())
        resampled.add(index, ((key, value), (key, 1.0)))
        drawn = weights.block(index // BLOCK)[index % BLOCK]
        expected[key] = expected[key] + (value + 1) * drawn
        if index % 97 == 0:
            assert np.allclose(resampled.sums[key], expected[key], atol=1e-9)
    assert all(np.allclose(resampled.sums[key], expected[key], atol=1e-9) for key in expected)


@pytest.mark.parametrize("kind", ["accuracy", "score"])
def test_the_interval_is_scipy_s(kind: str) -> None:
    """Paired, by percentiles: within 4 standard errors of the ends, of either's resampling."""
    random = np.random.default_rng(5)
    baseline = random.random(600)
    candidate = 0.7 * baseline + 0.3 * random.random(600) - 0.02
    if kind == "accuracy":
        baseline, candidate = ((each > 0.4).astype(float) for each in (baseline, candidate))

    def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float(np.mean(other) - np.mean(one))

    resamples = 4000
    expected = stats.bootstrap(
        (baseline, candidate),
        difference,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=resamples,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = ends(candidate - baseline, resamples, seed=2)
    spread = (candidate - baseline).std() / np.sqrt(600)
    density = stats.norm.pdf(stats.norm.ppf(0.025)) / spread
    error = np.sqrt(2 * 0.025 * 0.975 / resamples) / density
    assert found[0] == pytest.approx(expected.low, abs=4 * error)
    assert found[1] == pytest.approx(expected.high, abs=4 * error)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Paired accuracies of 200 images, 400 times: 95 % within what chance allows, 3.3 %.

    The truth is known: the candidate is right more often by 0.05.
    """
    trials, images, truth = 400, 200, 0.05
    random = np.random.default_rng(11)
    covered = 0
    for seed in range(trials):
        luck = random.random((2, images))
        baseline = luck[0] < 0.7
        candidate = np.where(luck[1] < 0.8, luck[0] < 0.75, random.random(images) < 0.75)
        low, high = ends(candidate.astype(float) - baseline.astype(float), 300, seed)
        covered += low <= truth <= high
    assert covered / trials == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / trials))


def test_resamples_that_say_nothing_do_not_count() -> None:
    assert interval(np.array([np.nan, 1.0, 1.0, np.inf])) == (1.0, 1.0)


def test_an_interval_of_nothing_is_not_known() -> None:
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_a_key_that_nobody_added_to_is_nothing() -> None:
    assert np.array_equal(Resampled(Weights(3, 0)).sums["x"], np.zeros(3))
