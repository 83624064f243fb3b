"""Units of several turns stand aside for higher classes as so many units would."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler

from .conftest import ROOMY

INTERACTIVE, EXPLAIN, BULK = Priority


def scheduler() -> Scheduler[str]:
    return Scheduler(Policy(queue_limits=ROOMY))


def submit(to: Scheduler[str], priority: Priority, count: int, steps: int = 1) -> None:
    for _ in range(count):
        to.submit(
            priority.name, now=0, priority=priority, job=priority, cost=float(steps), steps=steps
        )


def turns(of: Scheduler[str], lengths: dict[Priority, int]) -> Iterator[Priority]:
    """The class of each turn, as one worker takes them."""
    while taken := of.take(0):
        for step in range(lengths[taken.entry.priority]):
            while step and (other := of.overtaking(taken, 0)):
                yield other.entry.priority
                of.done(other, 1)
            yield taken.entry.priority
        of.done(taken, 1)


def test_a_higher_unit_goes_before_the_next_turn() -> None:
    queue = scheduler()
    submit(queue, EXPLAIN, 1, steps=8)
    taken = queue.take(0)
    assert taken
    assert not queue.contended(taken)
    assert queue.overtaking(taken, 0) is None
    submit(queue, INTERACTIVE, 2)
    assert queue.contended(taken)
    first, second = queue.overtaking(taken, 0), queue.overtaking(taken, 0)
    assert first
    assert second
    assert {first.entry.priority, second.entry.priority} == {INTERACTIVE}
    assert queue.overtaking(taken, 0) is None


def test_a_lower_unit_waits_for_the_last_turn() -> None:
    queue = scheduler()
    submit(queue, EXPLAIN, 1, steps=8)
    taken = queue.take(0)
    submit(queue, BULK, 5)
    assert taken
    assert all(queue.overtaking(taken, 0) is None for _ in range(1000))


@given(st.integers(1, 16))
def test_a_flood_leaves_the_same_share_whatever_the_turns_of_a_unit(steps: int) -> None:
    """One turn in 21 beside a flood of interactive units, as for units of one turn."""
    queue = scheduler()
    submit(queue, INTERACTIVE, 2000)
    submit(queue, EXPLAIN, 200, steps=steps)
    order = turns(queue, {INTERACTIVE: 1, EXPLAIN: steps})
    count = Counter(next(order) for _ in range(2000))
    assert count[EXPLAIN] == pytest.approx(2000 / 21, abs=2)


def test_what_passes_in_many_turns_earns_lower_classes_as_much() -> None:
    """Bulk units get one turn for twenty of an Explain whose units have eight."""
    queue = scheduler()
    submit(queue, EXPLAIN, 500, steps=8)
    submit(queue, BULK, 500)
    order = turns(queue, {EXPLAIN: 8, BULK: 1})
    count = Counter(next(order) for _ in range(2100))
    assert count[BULK] == pytest.approx(100, abs=2)


def test_a_cancelled_unit_knows_that_it_is_abandoned() -> None:
    queue = scheduler()
    submit(queue, EXPLAIN, 1, steps=8)
    taken = queue.take(0)
    assert taken
    assert not queue.abandoned(taken)
    queue.cancel(EXPLAIN)
    assert queue.abandoned(taken)
