"""The estimated correlation with the limit against the true one, which simulations know."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.explain import convergence
from pellucid_server.explain.convergence import STRATA, Convergence
from pellucid_server.explain.designs import DESIGNS, Design
from pellucid_server.explain.masks import MaskTables
from pellucid_server.types import Size

SIZE = Size(56, 56)
TABLES = MaskTables.of(SIZE, 7)


def effects(seed: int) -> NDArray[np.float64]:
    """A smooth weight for each pixel: a linear model whose limit is known."""
    y, x = np.mgrid[:56, :56]
    centre = np.random.default_rng(seed).uniform(10, 46, 2)
    bump = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 120)
    return np.asarray(bump / bump.sum())


def limit(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cov(f, m(x)) of a linear f, averaged over all shifts: sum of C_y(x, y) w(y)."""
    rows, columns = (
        np.einsum("sic,sjc->ij", table, table) / len(table)
        for table in (TABLES.rows.astype(float), TABLES.columns.astype(float))
    )
    return np.asarray(0.25 * rows @ weights @ columns)


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


class Run:
    """A linear model with noise, followed by an estimate and by the true correlation."""

    def __init__(self, design: Design, seed: int, noise: float) -> None:
        self.design, self.noise = design, noise
        self.random = np.random.default_rng(seed)
        self.weights = effects(seed)
        self.limit = limit(self.weights)
        self.masks: list[NDArray[np.float32]] = []
        self.scores: list[NDArray[np.float32]] = []
        self.convergence = Convergence(TABLES, design.stratum, centred=True, targets=1)

    def advance(self, count: int) -> tuple[float | None, float]:
        """The estimate and the truth after `count` more masks."""
        start = self.convergence.done
        for at in range(start, start + count, 32):
            block = self.design.block(at)
            masks = block.render(TABLES).reshape(32, -1)
            clean = masks @ self.weights.ravel()
            scores = (clean + self.noise * self.random.normal(size=32)).astype(np.float32)
            self.masks.append(masks)
            self.scores.append(scores)
            self.convergence.add(block, scores[:, None])
        scores = np.concatenate(self.scores)
        values = (scores - scores.mean()) @ np.concatenate(self.masks)
        (estimate,) = self.convergence.correlations()
        return estimate, correlation(values, self.limit)


def design(name: str, seed: int) -> Design:
    return DESIGNS[name](7, TABLES.shifts, 0.5, seed)


@pytest.mark.parametrize("name", ["centred", "hadamard"])
@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_without_caution_the_estimate_is_the_true_correlation(
    name: str, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over 20 runs of 2,048 masks the mean is right to 0.01."""
    monkeypatch.setattr(convergence, "CAUTION", 0)
    runs = [Run(design(name, seed), seed, noise).advance(2048) for seed in range(20)]
    excess = [estimate - truth for estimate, truth in runs if estimate is not None]
    assert len(excess) == 20
    assert abs(np.mean(excess)) < 0.01


@pytest.mark.parametrize("name", ["centred", "hadamard"])
def test_stopping_at_the_estimate_does_not_stop_too_soon(name: str) -> None:
    """Of 40 runs that stop at 0.9, the true correlation is never below 0.89."""
    truths = []
    for seed in range(40):
        run = Run(design(name, seed), seed, noise=0.2)
        estimate, truth = run.advance(128)
        while estimate is None or estimate < 0.9:
            estimate, truth = run.advance(128)
        truths.append(truth)
    assert min(truths) > 0.89


@pytest.mark.parametrize("name", DESIGNS)
def test_nothing_is_claimed_from_few_strata(name: str) -> None:
    """None until STRATA strata are whole."""
    drawn = design(name, 0)
    estimate = Convergence(TABLES, drawn.stratum, centred=drawn.centred, targets=2)
    whole = STRATA * drawn.stratum
    for block in drawn.blocks(whole):
        assert estimate.correlations() == (None, None)
        estimate.add(block, np.random.default_rng(block.start).random((32, 2), np.float32))
    assert all(value is not None for value in estimate.correlations())


def test_a_score_that_never_changes_has_no_correlation() -> None:
    """Its map is flat, so nothing can correlate: 0, and no warning."""
    drawn = design("hadamard", 0)
    estimate = Convergence(TABLES, drawn.stratum, centred=True, targets=1)
    for block in drawn.blocks(1024):
        estimate.add(block, np.full((32, 1), 0.25, np.float32))
    assert estimate.correlations() == (0.0,)


def test_noise_alone_is_not_taken_for_a_map() -> None:
    """Scores that know nothing of the masks: below 0.6 in each of 20 runs."""
    for seed in range(20):
        drawn = design("centred", seed)
        random = np.random.default_rng(seed)
        estimate = Convergence(TABLES, drawn.stratum, centred=True, targets=1)
        for block in drawn.blocks(1024):
            estimate.add(block, random.random((32, 1), np.float32))
        (value,) = estimate.correlations()
        assert value is not None
        assert value < 0.6
