"""Workers that take some classes alone."""

from pellucid_server.runtime.scheduling import ALL, Policy, Priority, Scheduler

from .conftest import ROOMY

INTERACTIVE, EXPLAIN, BULK = Priority
BACKGROUND = (EXPLAIN, BULK)


def scheduler() -> Scheduler[int]:
    return Scheduler(Policy(queue_limits=ROOMY))


def submit(to: Scheduler[int], priority: Priority, count: int) -> None:
    for index in range(count):
        to.submit(index, now=0, priority=priority, job=priority)


def test_only_the_classes_asked_for_are_taken() -> None:
    queue = scheduler()
    submit(queue, EXPLAIN, 1)
    assert queue.take(0, (INTERACTIVE,)) is None
    taken = queue.take(0, BACKGROUND)
    assert taken
    assert taken.entry.priority is EXPLAIN
    submit(queue, INTERACTIVE, 1)
    assert not queue.contended(taken)
    assert queue.overtaking(taken, 0) is None
    assert queue.take(0, BACKGROUND) is None
    assert queue.take(0, ALL)


def test_what_others_take_earns_no_turns() -> None:
    """A thousand predictions beside them change nothing between explanations and evaluations."""
    alone, beside = scheduler(), scheduler()
    for queue in (alone, beside):
        submit(queue, BULK, 50)
        submit(queue, EXPLAIN, 200)
    submit(beside, INTERACTIVE, 1000)
    orders: list[list[Priority]] = []
    for queue in (alone, beside):
        order = []
        for _ in range(250):
            for _ in range(4):
                if passing := queue.take(0, (INTERACTIVE,)):
                    queue.done(passing, 1)
            taken = queue.take(0, BACKGROUND)
            assert taken
            order.append(taken.entry.priority)
            queue.done(taken, 1)
        orders.append(order)
    assert orders[0] == orders[1]
    assert orders[0].index(BULK) == 20


def test_company_is_whoever_is_next_of_the_same_class_and_alike() -> None:
    """Of three even numbers and an odd one that wait in a row, three go together."""
    queue = scheduler()
    for number in (2, 4, 6, 7, 8):
        queue.submit(number, now=0, priority=INTERACTIVE, job=number)
    taken = queue.take(0, (INTERACTIVE,))
    assert taken
    company = []
    while other := queue.company(taken, 0, lambda number: number % 2 == 0):
        company.append(other.unit)
    assert company == [4, 6]
    assert queue.waiting_of(INTERACTIVE) == 2


def test_company_takes_no_turn_that_a_lower_class_has_earned() -> None:
    """Where an explanation is next, a prediction has no company, and nothing is charged for it."""
    queue = scheduler()
    submit(queue, EXPLAIN, 1)
    submit(queue, INTERACTIVE, 30)
    order = []
    while taken := queue.take(0, ALL):
        together = [taken]
        while other := queue.company(taken, 0, lambda _: True):
            together.append(other)
        order.append([each.entry.priority for each in together])
        for each in together:
            queue.done(each, 1)
    flat = [priority for group in order for priority in group]
    assert flat.index(EXPLAIN) == 20
    assert all(len(set(group)) == 1 for group in order)


def test_a_unit_given_back_gives_its_turn_back_where_it_was_taken() -> None:
    queue = scheduler()
    submit(queue, BULK, 1)
    submit(queue, EXPLAIN, 21)
    for _ in range(20):
        taken = queue.take(0, BACKGROUND)
        assert taken
        queue.done(taken, 1)
    earned = queue.take(0, BACKGROUND)
    assert earned
    assert earned.entry.priority is BULK
    assert queue.give_back(earned)
    again = queue.take(0, BACKGROUND)
    assert again
    assert again.entry.priority is BULK
