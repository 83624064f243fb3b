import pytest

from benchmarks.load import together


@pytest.mark.parametrize("callers", [1, 8])
def test_closed_loop_counts_what_all_callers_did(callers: int) -> None:
    calls: list[None] = []
    assert together(lambda: calls.append(None), callers, 0.01) == len(calls) > 0
