"""RISE as a whole: parameters, progress, stopping."""

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.explain.designs import DESIGNS
from pellucid_server.explain.parameters import ParameterValue, parse
from pellucid_server.explain.rise import RiseParameters, fewest, rise

from .conftest import Regions


@pytest.mark.parametrize("design", DESIGNS)
def test_map_is_highest_on_what_the_score_rests_on(problem: Regions, design: str) -> None:
    """The mean map inside a class's region exceeds that outside, for each class in one pass."""
    *_, last = rise(problem, RiseParameters(num_masks=1000, design=design))
    for values, region in zip(np.stack([*last.maps()]), problem.regions, strict=True):
        inside = np.zeros(problem.size, bool)
        inside[region] = True
        peak = np.unravel_index(values.argmax(), values.shape)
        assert inside[peak]
        assert values[inside].mean() > values[~inside].mean() + values.std()


@pytest.mark.parametrize("design", DESIGNS)
def test_progress_counts_every_mask_once(problem: Regions, design: str) -> None:
    """Done grows to exactly num_masks, and the model saw as many."""
    parameters = RiseParameters(num_masks=70, design=design)
    assert [progress.done for progress in rise(problem, parameters)] == [32, 64, 70]
    assert problem.seen == 70


@pytest.mark.parametrize("design", DESIGNS)
def test_partial_maps_are_maps_of_fewer_masks(problem: Regions, design: str) -> None:
    """The maps at 64 of 200 masks equal those of a call with 64 masks, bit for bit."""
    steps = rise(problem, RiseParameters(num_masks=200, seed=2, design=design))
    partial = next(step for step in steps if step.done == 64)
    *_, whole = rise(problem, RiseParameters(num_masks=64, seed=2, design=design))
    assert np.array_equal([*partial.maps()], [*whole.maps()])


@pytest.mark.parametrize("design", DESIGNS)
def test_a_run_stops_when_every_target_has_converged(problem: Regions, design: str) -> None:
    """All estimates reach stop_at with the last progress, not before, and no mask follows."""
    problem.noise = 0.05
    parameters = RiseParameters(num_masks=20_000, design=design, stop_at=0.9)
    *before, last = rise(problem, parameters)
    assert min(value or 0 for value in last.correlations) >= 0.9
    assert all(min(value or 0 for value in step.correlations) < 0.9 for step in before)
    assert last.done < 20_000
    assert problem.seen == last.done


def test_hadamard_stops_before_the_others(problem: Regions) -> None:
    """Fewer masks reach the same estimate: less than half of those of plain and centred."""
    done = {}
    for design in DESIGNS:
        *_, last = rise(problem, RiseParameters(num_masks=50_000, design=design, stop_at=0.98))
        done[design] = last.done
    assert done["hadamard"] < done["centred"] / 2
    assert done["hadamard"] < done["plain"] / 2


def test_a_run_that_may_stop_is_told_to_need_few_masks(problem: Regions) -> None:
    """Of an easy problem it ends exactly there: 4 strata of 128; without stop_at never."""
    problem.noise = 0
    parameters = RiseParameters(num_masks=5_000, stop_at=0.01)
    *_, last = rise(problem, parameters)
    assert last.done == fewest(parameters) == 512
    assert fewest(RiseParameters(num_masks=100, stop_at=0.9)) == 100
    assert fewest(RiseParameters(num_masks=5_000)) == 5_000


@pytest.mark.parametrize("stop_at", [0.0, 0.999])
def test_num_masks_stays_the_limit(problem: Regions, stop_at: float) -> None:
    """Where the target is not reached, or none is set."""
    problem.noise = 1
    *_, last = rise(problem, RiseParameters(num_masks=600, stop_at=stop_at))
    assert last.done == 600


@pytest.mark.parametrize(
    ("values", "field", "telling"),
    [
        ({"design": "hadamar"}, "parameters[design]", "hadamard"),
        ({"design": "hadamard", "prob": 0.3}, "parameters[prob]", "centred"),
        ({"num_cells": 33}, "parameters[num_cells]", "up to 32"),
        ({"stop_at": 1}, "parameters[stop_at]", "0 to 0.999"),
        ({"stop_at": -0.1}, "parameters[stop_at]", "0 to 0.999"),
        ({"stop_at": "soon"}, "parameters[stop_at]", "float"),
    ],
)
def test_wrong_parameters_are_refused(
    values: dict[str, ParameterValue], field: str, telling: str
) -> None:
    """The error names the field, and what would be right."""
    with pytest.raises(InvalidInput, match=telling) as caught:
        parse(RiseParameters, values)
    assert caught.value.field == field


def test_the_scalar_standard_error_is_that_of_the_pixels(problem: Regions) -> None:
    """The root mean square on the lattice is that of all pixels' errors to a quarter."""
    *_, last = rise(problem, RiseParameters(num_masks=4096, design="hadamard"))
    errors = last.standard_errors()
    assert errors is not None
    for spread, pixels in zip(last.spreads, errors, strict=True):
        assert spread == pytest.approx(float(np.sqrt((pixels**2).mean())), rel=0.25)
