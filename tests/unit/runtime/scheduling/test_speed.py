import pytest

from pellucid_server.runtime.scheduling.speed import MEMORY, Speed


def test_unknown_before_the_first_unit() -> None:
    assert Speed().seconds_per_cost == 0.0


def test_is_seconds_for_each_unit_of_cost() -> None:
    speed = Speed()
    speed.observe(cost=4.0, seconds=2.0)
    speed.observe(cost=1.0, seconds=0.5)
    assert speed.seconds_per_cost == pytest.approx(0.5)


def test_follows_a_device_that_slows_down() -> None:
    speed = Speed()
    for _ in range(1000):
        speed.observe(1.0, 0.01)
    for _ in range(5 * MEMORY):
        speed.observe(1.0, 0.1)
    assert speed.seconds_per_cost == pytest.approx(0.1, rel=0.02)
