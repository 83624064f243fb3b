"""The estimator against its formulas, written out mask by mask in NumPy."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.explain import sums
from pellucid_server.explain.designs import DESIGNS
from pellucid_server.explain.masks import MaskTables
from pellucid_server.explain.rise import RiseParameters, rise
from pellucid_server.explain.saliency import Saliency
from pellucid_server.explain.sums import weighted_sums
from pellucid_server.types import Size

from .conftest import Draw, Regions

Real = NDArray[np.float64]


def masks_and_scores(problem: Regions, draw: Draw, parameters: RiseParameters) -> tuple[Real, Real]:
    """All masks, rendered one by one, and the scores they leave."""
    design, tables = draw(problem.size, parameters)
    blocks = list(design.blocks(parameters.num_masks))
    masks = np.concatenate([block.render(tables) for block in blocks])
    scores = problem.scores(masks, parameters.fill)
    return masks.astype(float), scores.astype(float)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("normalizer", ["expected", "coverage"])
@pytest.mark.parametrize(("fill", "interpolation"), [(0.0, "linear"), (0.7, "cubic")])
def test_maps_are_the_formula(
    problem: Regions, draw: Draw, design: str, normalizer: str, fill: float, interpolation: str
) -> None:
    """S = b + 1/(N p) sum (f - b) m, b = 0 for plain and the mean score otherwise, to 1e-6.

    `coverage` is sum f m / sum m whatever b is.
    """
    parameters = RiseParameters(
        num_masks=300, seed=5, fill=fill, design=design,
        normalizer=normalizer, interpolation=interpolation,
    )  # fmt: skip
    *_, last = rise(problem, parameters)
    masks, scores = masks_and_scores(problem, draw, parameters)
    if normalizer == "coverage":
        expected = np.einsum("nc,nhw->chw", scores, masks) / masks.sum(0)
    else:
        level = np.zeros(2) if design == "plain" else scores.mean(0)
        expected = np.einsum("nc,nhw->chw", scores - level, masks) / (300 * 0.5)
        expected += level[:, None, None]
    assert np.abs(np.stack([*last.maps()]) - expected).max() < 1e-6


@pytest.mark.parametrize("design", ["centred", "hadamard"])
def test_a_linear_models_map_is_known(problem: Regions, design: str) -> None:
    """For f = sum w m the limit is E f + Cov(f, m) / p, from the tables alone.

    The mean over 60 seeds of 256 masks is within five standard errors of it at every pixel,
    but for the bias of centred, 1/N of the second term.
    """
    problem.noise = 0.02
    maps = []
    for seed in range(60):
        *_, last = rise(problem, RiseParameters(num_masks=256, seed=seed, design=design))
        maps.append(np.stack([*last.maps()]).astype(float))
    tables = MaskTables.of(problem.size, 7)
    rows, columns = (
        np.einsum("sic,sjc->ij", table, table, dtype=float) / len(table)
        for table in (tables.rows, tables.columns)
    )
    for target, region in enumerate(problem.regions):
        weights = np.zeros(problem.size)
        weights[region] = problem.image[region] / problem.image[region].size
        covariance = 0.25 * rows @ weights @ columns
        expected = 0.5 * weights.sum() + covariance / 0.5
        found = np.stack([values[target] for values in maps])
        error = found.std(0, ddof=1) / 60**0.5
        assert (np.abs(found.mean(0) - expected) < 5 * error + covariance.max() / 128).all()


def test_hadamard_has_a_fraction_of_the_variance(problem: Regions) -> None:
    """Linear and pairwise effects are no noise: 10 times less variance than centred."""
    variance = {}
    for design in ("plain", "centred", "hadamard"):
        maps = []
        for seed in range(20):
            *_, last = rise(problem, RiseParameters(num_masks=512, seed=seed, design=design))
            maps.append(np.stack([*last.maps()]))
        variance[design] = np.var(maps, axis=0).mean()
    assert variance["centred"] < variance["plain"]
    assert variance["hadamard"] < variance["centred"] / 10


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("normalizer", ["expected", "coverage"])
def test_standard_errors_are_the_spread_over_seeds(
    problem: Regions, design: str, normalizer: str
) -> None:
    """Their mean over pixels is that of the standard deviation over 40 seeds, to 20 %."""
    problem.noise = 0.1
    maps, errors = [], []
    for seed in range(40):
        parameters = RiseParameters(num_masks=512, seed=seed, design=design, normalizer=normalizer)
        *_, last = rise(problem, parameters)
        maps.append(np.stack([*last.maps()]))
        errors.append(np.stack([*last.standard_errors()]))
    spread = np.std(maps, axis=0, ddof=1).mean()
    assert abs(np.mean(errors) / spread - 1) < 0.2


def test_standard_errors_are_those_between_strata(problem: Regions, draw: Draw) -> None:
    """Against the formula: the deviation of 8 strata's own maps over sqrt(8), to 1e-5."""
    parameters = RiseParameters(num_masks=1024, design="hadamard", interpolation="cubic")
    *_, last = rise(problem, parameters)
    masks, scores = masks_and_scores(problem, draw, parameters)
    centred = (scores - scores.mean(0)).reshape(8, 128, 2)
    own = np.einsum("knc,knhw->kchw", centred, masks.reshape(8, 128, *problem.size)) / 64
    errors = np.stack([*last.standard_errors()])
    assert np.abs(errors - own.std(0, ddof=1) / 8**0.5).max() < 1e-5


def test_one_stratum_says_nothing_of_errors(problem: Regions) -> None:
    *_, last = rise(problem, RiseParameters(num_masks=255, design="hadamard"))
    assert not [*last.standard_errors()]


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("interpolation", ["linear", "cubic", "nearest"])
def test_many_targets_are_added_up_as_one_by_one(
    design: str, interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums for 70 targets, in pieces, equal the dense product of rendered masks to 1e-9."""
    monkeypatch.setattr(sums, "PIECE", 96)
    monkeypatch.setattr(sums, "SLICE", 16)
    tables = MaskTables.of(Size(45, 70), 7, interpolation)
    drawn = DESIGNS[design](7, tables.shifts, 0.5, 1)
    weights = np.random.default_rng(0).normal(size=(333, 70))
    masks = np.concatenate([block.render(tables) for block in drawn.blocks(333)])
    expected = np.einsum("nt,nhw->thw", weights, masks.astype(float))
    found = weighted_sums(drawn, tables, weights)
    # Masks rendered in float32 differ from those in float64 by 1e-7 each.
    assert np.abs(found - expected).max() < 1e-5


def test_the_devices_batch_does_not_show(draw: Draw) -> None:
    """The same scores handed over in other parts give the same bytes."""
    design, tables = draw(Size(40, 60), RiseParameters(design="centred"))
    scores = np.random.default_rng(0).random((300, 3), np.float32)
    maps = []
    for cuts in ([], [32, 64, 96], [1, 7, 150, 299]):
        estimate = Saliency(design, tables)
        for first, last in itertools.pairwise([0, *cuts, 300]):
            estimate.add(scores[first:last])
        maps.append(np.stack([*estimate.maps()]))
    assert np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[0], maps[2])
