"""Tenants of one class share it by weight, whatever their units cost and whenever they come."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid_server.runtime.scheduling import Policy, Priority

from .conftest import ROOMY, Simulation, Source, work

THREE_TO_ONE = Policy(queue_limits=ROOMY, weights={"gold": 3.0})
COSTS: dict[str, tuple[Callable[[int], float], Callable[[int], float]]] = {
    "equal": (lambda _: 1.0, lambda _: 1.0),
    "the favoured one's are larger": (lambda _: 4.0, lambda _: 1.0),
    "the other's are larger": (lambda _: 1.0, lambda _: 4.0),
    "changing": (lambda n: 1.0 + n % 7, lambda n: 1.0 + n % 5),
}


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("costs", COSTS)
def test_weights_three_to_one_share_the_work_three_to_one(costs: str, workers: int) -> None:
    simulation = Simulation(THREE_TO_ONE, workers)
    gold, plain = COSTS[costs]
    simulation.add(Source("gold", cost=gold))
    simulation.add(Source("plain", cost=plain))
    history = simulation.run(1000)
    assert work(history, "gold") / work(history, "plain") == pytest.approx(3.0, rel=0.05)


def test_shares_hold_on_devices_of_changing_speed() -> None:
    speeds = random.Random(7)  # noqa: S311  # a simulation
    simulation = Simulation(THREE_TO_ONE, 3, lambda cost: cost * speeds.choice([0.001, 0.05, 1.0]))
    simulation.add(Source("gold"))
    simulation.add(Source("plain"))
    history = simulation.run(1000)
    assert work(history, "gold") / work(history, "plain") == pytest.approx(3.0, rel=0.05)


@settings(max_examples=50, deadline=None)
@given(
    weight=st.floats(0.1, 10),
    costs=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=5, max_size=60),
    window=st.integers(2, 5),
)
def test_the_bound_of_start_time_fair_queueing_holds_over_every_span(
    weight: float, costs: list[tuple[float, float]], window: int
) -> None:
    """Goyal, Vin, Cheng, theorem 1: |W_a / w_a - W_b / w_b| <= max c_a / w_a + max c_b / w_b."""
    simulation = Simulation(Policy(queue_limits=ROOMY, weights={"a": weight}))
    simulation.add(Source("a", cost=lambda n: costs[n % len(costs)][0], window=window))
    simulation.add(Source("b", cost=lambda n: costs[n % len(costs)][1], window=window))
    ahead = [0.0]
    for taken in simulation.run(200):
        entry = taken.entry
        ahead.append(ahead[-1] + (entry.cost / weight if entry.tenant == "a" else -entry.cost))
    bound = max(a for a, _ in costs) / weight + max(b for _, b in costs)
    assert max(ahead) - min(ahead) <= bound + 1e-6


def test_a_tenant_who_arrives_later_gets_an_equal_part_from_then_on() -> None:
    simulation = Simulation()
    simulation.add(Source("a"))
    simulation.add(Source("b"))
    simulation.run(500)
    simulation.add(Source("late"))
    history = simulation.run(300)
    assert {tenant: work(history, tenant) for tenant in ("a", "b", "late")} == pytest.approx(
        {"a": 100, "b": 100, "late": 100}, abs=2
    )
    assert "late" in [taken.entry.tenant for taken in history[:3]]


def test_an_idle_tenant_gets_no_credit_for_the_past() -> None:
    simulation = Simulation()
    simulation.add(Source("sleeper", total=5))
    simulation.add(Source("busy"))
    simulation.run(1000)
    simulation.add(Source("sleeper", name="again"))
    history = simulation.run(100)
    assert work(history, "sleeper") == pytest.approx(50, abs=1)


def test_a_tenant_who_had_the_machine_alone_is_not_punished_for_it() -> None:
    simulation = Simulation()
    simulation.add(Source("first"))
    simulation.run(1000)
    simulation.add(Source("second"))
    assert work(simulation.run(100), "first") == pytest.approx(50, abs=1)


def test_a_light_tenants_debt_ends_with_the_busy_period() -> None:
    policy = Policy(queue_limits=ROOMY, weights={"light": 0.01, "other": 0.01})
    simulation = Simulation(policy)
    simulation.add(Source("light", total=1, window=1))
    simulation.run(10)
    simulation.add(Source("light", name="again"))
    simulation.add(Source("other"))
    assert work(simulation.run(20), "light") == 10


def test_a_huge_job_does_not_block_the_same_tenants_next() -> None:
    simulation = Simulation()
    simulation.add(Source("t", name="huge", window=100_000))
    simulation.run(10)
    simulation.add(Source("t", name="small", window=10, total=10))
    jobs = [taken.entry.job for taken in simulation.run(20)]
    assert jobs.count((Priority.EXPLAIN, "t", "small")) == 10


def test_many_jobs_win_a_tenant_nothing() -> None:
    simulation = Simulation()
    simulation.add(Source("one"))
    for number in range(20):
        simulation.add(Source("many", name=str(number)))
    assert work(simulation.run(400), "one") == pytest.approx(200, abs=1)


def test_a_flood_of_new_names_neither_starves_who_waits_nor_is_remembered() -> None:
    simulation = Simulation(Policy(queue_limits=ROOMY, remembered_tenants=8))
    simulation.add(Source("steady"))
    queue = simulation.scheduler._queues[Priority.EXPLAIN]
    most = served = 0
    for number in range(1000):
        if len(queue._waiting) < 2:
            simulation.add(Source(f"new {number}", window=1, total=1))
        served += work(simulation.run(1), "steady") > 0
        most = max(most, len(queue._tenants) - len(queue._waiting))
    assert served >= 1000 / 10
    assert most <= 8


def test_nothing_is_kept_of_tenants_after_the_last_unit() -> None:
    simulation = Simulation(workers=2)
    for number in range(50):
        simulation.add(Source(f"tenant {number}", total=10))
    simulation.run(1000)
    scheduler = simulation.scheduler
    assert len(simulation.history) == 500
    assert not any(queue._tenants for queue in scheduler._queues.values())
    assert not scheduler._jobs
    assert not scheduler._running
