import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics

from pellucid_server.evaluate.metrics.regression import FIGURES, Errors

REFERENCES = {
    "r2": metrics.r2_score,
    "mse": metrics.mean_squared_error,
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "msle": metrics.mean_squared_log_error,
}


def errors_of(targets: list[float], values: list[float]) -> Errors:
    errors = Errors()
    for target, value in zip(targets, values, strict=True):
        errors.add(target, value)
    return errors


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("mean", "spread"), [(5.0, 2.0), (1e6, 1.0), (0.0, 1e-6)])
def test_equals_scikit_learn(name: str, mean: float, spread: float) -> None:
    """To 1e-12, with a mean a million times the spread too."""
    rng = np.random.default_rng(0)
    targets = np.abs(rng.normal(mean, spread, 2000))
    values = np.abs(targets + rng.normal(0, spread / 2, 2000))
    found = FIGURES[name](errors_of(targets.tolist(), values.tolist()))
    assert found == pytest.approx(REFERENCES[name](targets, values), rel=1e-12)


NUMBERS = st.floats(-0.9, 1e6)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=20))
def test_equals_scikit_learn_on_any_numbers(pairs: list[tuple[float, float]]) -> None:
    targets, values = map(list, zip(*pairs, strict=True))
    assume(np.ptp(targets) > 1e-3)
    errors = errors_of(targets, values)
    for name, figure in FIGURES.items():
        expected = REFERENCES[name](targets, values)
        assert figure(errors) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_equal_targets_are_explained_or_not() -> None:
    for values in ([3.0, 3.0], [3.0, 4.0]):
        expected = metrics.r2_score([3.0, 3.0], values)
        assert errors_of([3.0, 3.0], values).r2 == expected


def test_what_is_not_defined_is_none() -> None:
    assert errors_of([1.0], [2.0]).r2 is None
    assert errors_of([1.0, -1.0], [2.0, 0.0]).msle is None
    assert errors_of([1.0, 2.0], [2.0, -3.0]).msle is None
    assert math.isclose(errors_of([1.0], [2.0]).rmse, 1.0)
