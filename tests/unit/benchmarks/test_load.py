import threading

import pytest

from benchmarks.load import Latencies, at_rate, together


def test_every_call_that_is_due_is_made() -> None:
    """An open loop: a call that never returns in time holds up none of the others."""
    arrived, everyone = [], threading.Barrier(20)

    def call() -> None:
        arrived.append(everyone.wait(timeout=30))

    latencies = at_rate(call, rate=1000, seconds=0.02)
    assert sorted(arrived) == list(range(20))
    assert len(latencies.seconds) == 20


def test_latency_counts_from_when_the_call_was_due() -> None:
    """No call is answered before it is due."""
    assert min(at_rate(lambda: None, rate=200, seconds=0.05).seconds) >= 0


def test_percentiles_are_of_the_calls() -> None:
    latencies = Latencies([float(value) for value in range(101)])
    assert (latencies.at(50), latencies.at(99)) == (50, 99)


@pytest.mark.parametrize("callers", [1, 8])
def test_closed_loop_counts_what_all_callers_did(callers: int) -> None:
    calls: list[None] = []
    assert together(lambda: calls.append(None), callers, 0.01) == len(calls) > 0
