import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.evaluate.metrics.sums import Spread, Total

VALUES = st.lists(st.floats(-1e100, 1e100), min_size=1)


@given(VALUES)
def test_a_total_is_the_exact_sum_rounded_once(values: list[float]) -> None:
    total = Total()
    for value in values:
        total.add(value)
    assert total.value == math.fsum(values) == float(sum(map(Fraction, values)))
    assert total.count == len(values)


def test_a_total_keeps_what_plain_sums_lose() -> None:
    total = Total()
    for value in (1e16, 1.0, -1e16):
        total.add(value)
    assert total.mean == 1 / 3


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=20), st.sampled_from([0, 1e9]))
def test_a_spread_is_exact_however_far_the_mean(values: list[float], mean: float) -> None:
    spread = Spread()
    for value in values:
        spread.add(value + mean)
    exact = [Fraction(value + mean) for value in values]
    middle = sum(exact) / len(exact)
    assert spread.value == float(sum((each - middle) ** 2 for each in exact))
