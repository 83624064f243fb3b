from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.frame import (
    BENCHMARKS,
    Benchmark,
    Series,
    Skipped,
    Work,
    benchmark,
    interleave,
    ratios,
    summary,
)


@pytest.fixture
def registry() -> Iterator[list[Benchmark]]:
    """The registry, as it was afterwards."""
    before = list(BENCHMARKS)
    BENCHMARKS.clear()
    yield BENCHMARKS
    BENCHMARKS[:] = before


def test_sides_take_turns() -> None:
    """A B A B, not A A B B: what disturbs the machine falls on both."""
    calls: list[str] = []

    def call(side: str) -> str:
        calls.append(side)
        return side

    pairs = interleave(3, lambda: call("a"), lambda: call("b"))
    assert calls == ["a", "b"] * 3
    assert pairs == [("a", "b")] * 3


def test_ratios_are_of_neighbours() -> None:
    """A machine that slows down between pairs leaves the ratios as they are."""
    slowing = [(2.0 / factor, 1.0 / factor) for factor in (1, 3, 10)]
    assert ratios(slowing) == pytest.approx([2, 2, 2])


def test_summary_is_median_and_outer_tenths() -> None:
    values = np.random.default_rng(0).permutation(101).astype(float).tolist()
    assert summary(values) == (50, 10, 90)


def test_summary_of_one_value_is_that_value() -> None:
    assert summary([0.9]) == (0.9, 0.9, 0.9)


def test_rates_are_by_the_clock_and_by_processor_time() -> None:
    work = Work(units=100, seconds=4, cpu=5)
    assert (work.rate, work.rate_per_cpu) == (25, 20)


def test_quick_and_full_get_their_sizes(registry: list[Benchmark]) -> None:
    @benchmark({"size": "s"}, quick=2, full=7)
    def size(value: int) -> Series:
        return {"size": [value]}

    (registered,) = registry
    (quick,), (full,) = (registered.results(quick, "run") for quick in (True, False))
    assert (quick.value, full.value) == (2, 7)
    assert (full.name, full.unit, full.command) == ("size", "s", "run")


def test_what_cannot_run_keeps_its_names(registry: list[Benchmark]) -> None:
    """A skipped benchmark stays visible: every name, no figures, and the reason."""

    @benchmark({"one": "s", "two": "ratio"}, full=None)
    def absent(_: None) -> Series:
        raise Skipped("there is no such thing here")

    results = registry[0].results(quick=False, command="")
    assert [(each.name, each.unit, each.value) for each in results] == [
        ("one", "s", None),
        ("two", "ratio", None),
    ]
    assert {each.skipped for each in results} == {"there is no such thing here"}


def test_a_note_leaves_out_the_quick_run_only(registry: list[Benchmark]) -> None:
    @benchmark({"slow": "s"}, full=1, note="takes an hour")
    def slow(value: int) -> Series:
        return {"slow": [value]}

    (quick,), (full,) = (registry[0].results(quick, "") for quick in (True, False))
    assert (quick.value, quick.skipped) == (None, "takes an hour")
    assert (full.value, full.skipped) == (1, "")
