"""Higher classes go first, and lower ones never starve."""

from collections import Counter

import pytest

from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler

from .conftest import ROOMY, Simulation, Source, classes

INTERACTIVE, EXPLAIN, BULK = Priority


def test_an_interactive_unit_goes_before_ten_thousand_that_wait() -> None:
    simulation = Simulation()
    simulation.add(Source("explainer", EXPLAIN, window=10_000))
    simulation.run(137)
    simulation.add(Source("caller", INTERACTIVE, window=1, total=1))
    assert classes(simulation.run(2)) == [INTERACTIVE, EXPLAIN]


@pytest.mark.parametrize("before", range(1, 45))
def test_an_interactive_unit_does_not_wait_for_what_lower_classes_owe_each_other(
    before: int,
) -> None:
    simulation = Simulation()
    simulation.add(Source("explainer", EXPLAIN))
    simulation.add(Source("batch", BULK))
    simulation.run(before)
    simulation.add(Source("caller", INTERACTIVE, window=1, total=1))
    assert classes(simulation.run(1)) == [INTERACTIVE]


def test_without_shares_the_order_of_classes_is_strict() -> None:
    simulation = Simulation(Policy(queue_limits=ROOMY, shares={}))
    for priority in reversed(Priority):
        simulation.add(Source("t", priority, window=50, total=50))
    assert classes(simulation.run(150)) == [INTERACTIVE] * 50 + [EXPLAIN] * 50 + [BULK] * 50


@pytest.mark.parametrize("lower", [EXPLAIN, BULK])
def test_a_class_gets_a_unit_for_every_twenty_that_pass_it(lower: Priority) -> None:
    simulation = Simulation()
    simulation.add(Source("flood", INTERACTIVE))
    simulation.add(Source("patient", lower))
    assert classes(simulation.run(84)) == ([INTERACTIVE] * 20 + [lower]) * 4


def test_all_lower_classes_get_their_share_of_a_flood() -> None:
    simulation = Simulation()
    for priority in Priority:
        simulation.add(Source("t", priority))
    count = Counter(classes(simulation.run(2200)))
    assert count[EXPLAIN] == pytest.approx(100, abs=2)
    assert count[BULK] == pytest.approx(100, abs=2)


def test_shares_are_of_work_not_of_units() -> None:
    simulation = Simulation()
    simulation.add(Source("flood", INTERACTIVE))
    simulation.add(Source("heavy", BULK, cost=lambda _: 10.0))
    count = Counter(classes(simulation.run(2010)))
    assert count[BULK] == pytest.approx(10, abs=1)


def test_heavy_units_that_pass_earn_more() -> None:
    simulation = Simulation()
    simulation.add(Source("flood", INTERACTIVE, cost=lambda _: 10.0))
    simulation.add(Source("light", BULK))
    assert classes(simulation.run(12)) == [INTERACTIVE, INTERACTIVE, BULK] * 4


def test_nothing_is_owed_where_pauses_left_room() -> None:
    """Ten interactive units, a pause in which two lower ones run, and so on."""
    simulation = Simulation()
    simulation.add(Source("patient", EXPLAIN))
    for burst in range(50):
        simulation.add(Source("bursts", INTERACTIVE, window=10, total=10, name=str(burst)))
        assert classes(simulation.run(12)) == [INTERACTIVE] * 10 + [EXPLAIN] * 2


def test_a_class_earns_nothing_while_it_does_not_wait() -> None:
    simulation = Simulation()
    simulation.add(Source("flood", INTERACTIVE))
    simulation.run(1000)
    simulation.add(Source("late", EXPLAIN))
    assert classes(simulation.run(21)) == [INTERACTIVE] * 20 + [EXPLAIN]


def test_a_class_that_stops_waiting_loses_what_it_earned() -> None:
    simulation = Simulation()
    simulation.add(Source("flood", INTERACTIVE))
    leaver = Source("leaver", EXPLAIN)
    simulation.add(leaver)
    simulation.run(19)
    simulation.scheduler.cancel(leaver.job)
    simulation.run(1)
    simulation.add(Source("late", EXPLAIN))
    assert classes(simulation.run(21)) == [INTERACTIVE] * 20 + [EXPLAIN]


def test_a_unit_given_back_keeps_its_classes_turn() -> None:
    scheduler: Scheduler[int] = Scheduler(Policy(queue_limits=ROOMY))
    for number in range(100):
        scheduler.submit(number, now=0, priority=INTERACTIVE, job="calls")
        scheduler.submit(number, now=0, priority=BULK, job="batch")
    for _ in range(20):
        taken = scheduler.take(0)
        assert taken
        assert taken.entry.priority is INTERACTIVE
    for _ in range(3):
        turn = scheduler.take(0)
        assert turn
        assert turn.entry.priority is BULK
        assert turn.unit == 0
        assert scheduler.give_back(turn)
