import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid_server.rpc.rates import Rates


def test_without_a_rate_every_call_goes() -> None:
    rates = Rates()
    assert {rates.take("a", 0.0) for _ in range(1000)} == {0.0}
    assert len(rates) == 0


def test_a_burst_goes_at_once_and_the_next_call_waits_for_its_time() -> None:
    rates = Rates(rate=2, burst=3)
    assert [rates.take("a", 10.0) for _ in range(3)] == [0.0] * 3
    assert rates.take("a", 10.0) == 0.5
    assert rates.take("a", 10.2) == pytest.approx(0.3)
    assert rates.take("a", 10.5) == 0.0


def test_a_refused_call_takes_nothing() -> None:
    """Whoever asks too often is not punished beyond its rate."""
    rates = Rates(rate=1, burst=1)
    rates.take("a", 0.0)
    for tenth in range(1, 10):
        assert rates.take("a", tenth / 10) > 0
    assert rates.take("a", 1.0) == 0.0


def test_without_a_burst_it_is_the_calls_of_a_second_and_at_least_one() -> None:
    fast, slow = Rates(rate=5), Rates(rate=0.1)
    assert sum(fast.take("a", 0.0) == 0 for _ in range(20)) == 5
    assert sum(slow.take("a", 0.0) == 0 for _ in range(20)) == 1


def test_tenants_have_buckets_of_their_own_and_rates_where_they_are_named() -> None:
    rates = Rates(rate=1, own={"big": 10.0})
    assert sum(rates.take("big", 0.0) == 0 for _ in range(20)) == 10
    assert sum(rates.take("small", 0.0) == 0 for _ in range(20)) == 1


def test_names_without_end_take_bounded_memory_and_bounded_calls() -> None:
    """Beyond those remembered, strangers share one bucket; a named tenant keeps its own."""
    rates = Rates(rate=1, own={"known": 5.0}, remembered=10)
    admitted = sum(rates.take(f"tenant-{index}", 0.0) == 0 for index in range(1000))
    assert admitted == 11
    assert len(rates) == 11
    assert rates.take("known", 0.0) == 0.0
    assert rates.take("tenant-0", 0.0) > 0  # no flood of names makes it forgotten


def test_full_buckets_are_forgotten() -> None:
    rates = Rates(rate=1, remembered=10)
    for index in range(10):
        rates.take(f"old-{index}", 0.0)
    assert sum(rates.take(f"new-{index}", 100.0) == 0 for index in range(10)) == 10
    assert len(rates) == 10


@settings(deadline=None)  # machines are busy
@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_no_span_has_more_calls_than_burst_and_rate_allow(
    rate: float, burst: int, gaps: list[float]
) -> None:
    rates, now, gone = Rates(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        if not rates.take("a", now):
            gone.append(now)
    for start in range(len(gone)):
        for end in range(start, len(gone)):
            allowed = burst + rate * (gone[end] - gone[start])
            assert end - start + 1 <= allowed * (1 + 1e-6) + 1e-6


@settings(deadline=None)  # machines are busy
@given(rate=st.floats(0.1, 1000), burst=st.integers(1, 50))
def test_whoever_waits_as_told_is_let_in(rate: float, burst: int) -> None:
    rates = Rates(rate, burst)
    while not (wait := rates.take("a", 5.0)):
        pass
    assert rates.take("a", 5.0 + wait * (1 + 1e-9)) == 0.0
