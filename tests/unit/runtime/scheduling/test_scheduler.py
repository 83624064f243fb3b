import math
from collections.abc import Callable

import pytest

from pellucid_server.errors import DeadlineExceeded, Overloaded
from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler, Taken

from .conftest import ROOMY, Simulation, Source

INTERACTIVE, EXPLAIN, BULK = Priority


class Desk:
    """A scheduler with shorthand."""

    def __init__(self, policy: Policy | None = None, workers: int = 1) -> None:
        self.scheduler: Scheduler[str] = Scheduler(policy, workers=workers)
        self.now = 0.0

    def submit(
        self,
        unit: str,
        priority: Priority = EXPLAIN,
        tenant: str = "",
        deadline: float = math.inf,
        cost: float = 1.0,
    ) -> None:
        """The job is the unit's name without its number."""
        self.scheduler.submit(
            unit,
            now=self.now,
            priority=priority,
            job=unit.rstrip("0123456789"),
            tenant=tenant,
            deadline=deadline,
            cost=cost,
        )

    def take(self) -> Taken[str]:
        taken = self.scheduler.take(self.now)
        assert taken
        return taken

    def drain(self) -> list[str]:
        units = []
        while taken := self.scheduler.take(self.now):
            units.append(taken.unit)
            self.scheduler.done(taken, 0)
        return units

    def learn(self, seconds: float) -> None:
        """Runs one unit, so that the speed is known."""
        self.submit("first")
        self.scheduler.done(self.take(), seconds)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def small(limit: int, **rest: float) -> Policy:
    return Policy(queue_limits=dict.fromkeys(Priority, limit), **rest)  # type: ignore[arg-type] # names of floats only


def test_nothing_to_take(desk: Desk) -> None:
    assert desk.scheduler.take(0.0) is None


def test_a_taken_unit_tells_how_long_it_waited(desk: Desk) -> None:
    desk.submit("a")
    desk.now = 2.5
    assert desk.take().waited == 2.5


@pytest.mark.parametrize("cost", [0.0, -1.0, math.inf, math.nan])
def test_a_cost_that_cannot_be_shared_is_refused(desk: Desk, cost: float) -> None:
    with pytest.raises(ValueError, match="cost of a unit"):
        desk.submit("a", cost=cost)
    assert desk.scheduler.waiting()[EXPLAIN] == 0


@pytest.mark.parametrize("end", [Scheduler.give_back, lambda s, taken: s.done(taken, 1.0)])
def test_a_unit_ends_once(desk: Desk, end: Callable[[Scheduler[str], Taken[str]], object]) -> None:
    desk.submit("a")
    taken = desk.take()
    end(desk.scheduler, taken)
    with pytest.raises(ValueError, match="already"):
        desk.scheduler.done(taken, 1.0)
    with pytest.raises(ValueError, match="already"):
        desk.scheduler.give_back(taken)


class TestLimits:
    def test_each_class_has_its_own(self) -> None:
        limits = {INTERACTIVE: 1, EXPLAIN: 2, BULK: 3}
        desk = Desk(Policy(queue_limits=limits))
        for priority, limit in limits.items():
            for number in range(limit):
                desk.submit(f"{priority.name}{number}", priority)
            with pytest.raises(Overloaded, match=f"the {priority.name.lower()} queue is full"):
                desk.submit("more", priority)
        assert desk.scheduler.waiting() == limits

    def test_a_unit_that_is_taken_leaves_its_place(self) -> None:
        desk = Desk(small(1))
        desk.submit("a")
        desk.take()
        desk.submit("b")
        assert desk.scheduler.waiting()[EXPLAIN] == 1

    def test_half_of_the_queue_is_worked_off_after_the_delay(self) -> None:
        desk = Desk(small(8))
        desk.learn(seconds=0.5)
        for number in range(8):
            desk.submit(f"a{number}")
        with pytest.raises(Overloaded, match=r"try again in 2\.0 s") as caught:
            desk.submit("more")
        assert caught.value.retry_after == pytest.approx(2.0)

    @pytest.mark.parametrize(("seconds", "delay"), [(None, 1.0), (1e-6, 0.1), (1e6, 60.0)])
    def test_the_delay_is_sensible(self, seconds: float | None, delay: float) -> None:
        desk = Desk(small(1))
        if seconds:
            desk.learn(seconds)
        desk.submit("a")
        with pytest.raises(Overloaded) as caught:
            desk.submit("b")
        assert caught.value.retry_after == delay

    def test_one_tenant_leaves_room_for_others(self) -> None:
        desk = Desk(small(90))
        for number in range(80):
            desk.submit(f"a{number}", tenant="greedy")
        with pytest.raises(Overloaded, match="this tenant's part of the explain queue is full"):
            desk.submit("a80", tenant="greedy")
        desk.submit("b", tenant="modest")

    def test_the_whole_queue_may_be_given_to_one_tenant(self) -> None:
        desk = Desk(small(90, places_per_free=math.inf))
        for number in range(90):
            desk.submit(f"a{number}", tenant="greedy")
        with pytest.raises(Overloaded):
            desk.submit("b", tenant="modest")

    def test_what_is_given_back_is_not_refused(self) -> None:
        desk = Desk(small(1))
        desk.submit("a")
        taken = desk.take()
        desk.submit("b")
        assert desk.scheduler.give_back(taken)
        assert desk.scheduler.waiting()[EXPLAIN] == 2
        with pytest.raises(Overloaded):
            desk.submit("c")
        assert desk.drain() == ["a", "b"]


class TestGiveBack:
    def test_units_come_back_in_the_order_of_their_submission(self, desk: Desk) -> None:
        for unit in ("a1", "a2", "a3", "b1", "b2"):
            desk.submit(unit)
        taken = [desk.take() for _ in range(4)]
        assert [each.unit for each in taken] == ["a1", "b1", "a2", "b2"]
        for index in (2, 0, 1):
            assert desk.scheduler.give_back(taken[index])
        assert desk.drain() == ["a1", "a2", "b1", "a3"]

    def test_a_job_whose_other_units_ran_can_come_back(self, desk: Desk) -> None:
        desk.submit("a1")
        taken = desk.take()
        assert desk.scheduler.give_back(taken)
        desk.submit("a2")
        assert desk.drain() == ["a1", "a2"]

    def test_the_tenant_is_not_charged(self) -> None:
        """Whoever has a failing device gets as much as the other one."""
        desk = Desk(Policy(queue_limits=ROOMY))
        for number in range(300):
            desk.submit(f"a{number}", tenant="unlucky")
            desk.submit(f"b{number}", tenant="lucky")
        ran: list[str] = []
        failures = 0
        while len(ran) < 200:
            taken = desk.take()
            if taken.entry.tenant == "unlucky" and failures < 3 * (len(ran) + 1):
                failures += 1
                desk.scheduler.give_back(taken)
            else:
                ran.append(taken.unit)
                desk.scheduler.done(taken, 0.005)
        assert failures > 100
        assert sum(unit.startswith("a") for unit in ran) == pytest.approx(100, abs=1)

    def test_a_unit_held_for_long_earns_its_tenant_one_turn_and_no_more(self) -> None:
        desk = Desk(Policy(queue_limits=ROOMY))
        desk.submit("a0", tenant="held")
        held = desk.take()
        for number in range(1000):
            desk.submit(f"b{number}", tenant="busy")
        for _ in range(500):
            desk.scheduler.done(desk.take(), 0.005)
        desk.scheduler.give_back(held)
        for number in range(1, 100):
            desk.submit(f"a{number}", tenant="held")
        next_ones = desk.drain()[:41]
        assert next_ones[0] == "a0"
        assert sum(unit.startswith("a") for unit in next_ones) == pytest.approx(21, abs=1)


class TestCancel:
    def test_removes_what_waits_and_nothing_else(self, desk: Desk) -> None:
        for unit in ("a1", "b1", "a2", "b2", "a3"):
            desk.submit(unit)
        assert desk.scheduler.cancel("a") == ["a1", "a2", "a3"]
        assert desk.scheduler.waiting()[EXPLAIN] == 2
        assert desk.drain() == ["b1", "b2"]

    def test_an_unknown_job_has_nothing_to_remove(self, desk: Desk) -> None:
        assert desk.scheduler.cancel("nobody's") == []

    def test_finds_a_job_in_every_class_and_tenant(self, desk: Desk) -> None:
        desk.submit("a1", INTERACTIVE)
        desk.submit("a2", BULK, tenant="other")
        assert desk.scheduler.cancel("a") == ["a1", "a2"]
        assert desk.scheduler.take(0.0) is None

    def test_costs_the_tenant_nothing(self) -> None:
        desk = Desk(Policy(queue_limits=ROOMY))
        for number in range(500):
            desk.submit(f"a{number}", tenant="fickle")
        desk.scheduler.cancel("a")
        for number in range(10):
            desk.submit(f"b{number}", tenant="other")
            desk.submit(f"c{number}", tenant="fickle")
        assert sum(unit.startswith("c") for unit in desk.drain()[:10]) == 5

    def test_a_unit_of_a_cancelled_job_does_not_come_back(self, desk: Desk) -> None:
        for unit in ("a1", "a2", "b1"):
            desk.submit(unit)
        taken = desk.take()
        assert desk.scheduler.cancel("a") == ["a2"]
        assert not desk.scheduler.give_back(taken)
        assert desk.drain() == ["b1"]

    def test_a_unit_given_back_is_cancelled_in_its_place(self, desk: Desk) -> None:
        desk.submit("a1")
        desk.submit("a2")
        desk.scheduler.give_back(desk.take())
        assert desk.scheduler.cancel("a") == ["a1", "a2"]
        assert desk.scheduler.take(0.0) is None

    def test_a_job_may_go_on_after_it(self, desk: Desk) -> None:
        desk.submit("a1")
        taken = desk.take()
        desk.scheduler.cancel("a")
        desk.submit("a2")
        desk.scheduler.done(taken, 0.1)
        assert desk.drain() == ["a2"]


class TestDeadlines:
    def test_what_came_too_late_is_never_taken(self, desk: Desk) -> None:
        desk.submit("a1", deadline=1.0)
        desk.submit("a2", deadline=3.0)
        desk.submit("a3")
        desk.now = 1.0
        assert desk.take().unit == "a2"
        assert desk.scheduler.expire(desk.now) == ["a1"]
        assert desk.scheduler.expire(desk.now) == []

    def test_expiry_does_not_wait_for_a_device(self, desk: Desk) -> None:
        desk.submit("a1", deadline=2.0)
        desk.submit("a2", deadline=1.0)
        assert desk.scheduler.next_deadline == 1.0
        assert desk.scheduler.expire(1.5) == ["a2"]
        assert desk.scheduler.next_deadline == 2.0
        assert desk.scheduler.waiting()[EXPLAIN] == 1

    def test_the_dead_hold_no_room(self) -> None:
        desk = Desk(small(1))
        desk.submit("a", deadline=1.0)
        desk.now = 2.0
        desk.submit("b")
        assert desk.scheduler.expire(desk.now) == ["a"]

    def test_a_unit_given_back_expires_like_any_other(self, desk: Desk) -> None:
        desk.submit("a", deadline=1.0)
        taken = desk.take()
        desk.now = 2.0
        assert desk.scheduler.give_back(taken)
        assert desk.scheduler.take(desk.now) is None
        assert desk.scheduler.expire(desk.now) == ["a"]

    @pytest.mark.parametrize("deadline", [-1.0, 0.0])
    def test_one_that_passed_is_refused_at_once(self, desk: Desk, deadline: float) -> None:
        with pytest.raises(DeadlineExceeded, match="passed before"):
            desk.submit("a", deadline=deadline)

    def test_work_that_cannot_end_in_time_is_refused_before_it_is_queued(self, desk: Desk) -> None:
        desk.learn(seconds=0.1)
        for number in range(10):
            desk.submit(f"a{number}")
        with pytest.raises(DeadlineExceeded, match=r"0\.900 s are left.* in 1\.100 s"):
            desk.submit("a", deadline=0.9)
        assert desk.scheduler.waiting()[EXPLAIN] == 10
        desk.submit("a", deadline=1.2)

    def test_a_tenants_new_job_does_not_count_its_other_jobs_whole(self, desk: Desk) -> None:
        desk.learn(seconds=0.1)
        for number in range(1000):
            desk.submit(f"a{number}")
        desk.submit("b", deadline=0.5)

    def test_nothing_is_refused_before_the_speed_is_known(self, desk: Desk) -> None:
        for number in range(100):
            desk.submit(f"a{number}", deadline=1e-6)
        assert desk.scheduler.waiting()[EXPLAIN] == 100

    def test_an_idle_machine_takes_everything_so_that_a_wrong_estimate_mends(
        self, desk: Desk
    ) -> None:
        desk.learn(seconds=100.0)
        desk.submit("a", deadline=1.0)
        with pytest.raises(DeadlineExceeded):
            desk.submit("b", deadline=1.0)

    def test_lower_classes_do_not_count(self, desk: Desk) -> None:
        desk.learn(seconds=0.1)
        for number in range(1000):
            desk.submit(f"a{number}")
        desk.submit("b", INTERACTIVE, deadline=0.15)

    def test_a_tenant_does_not_count_the_backlog_of_another(self, desk: Desk) -> None:
        desk.learn(seconds=0.1)
        for number in range(1000):
            desk.submit(f"a{number}", tenant="busy")
        desk.submit("b", tenant="other", deadline=1.0)
        with pytest.raises(DeadlineExceeded):
            desk.submit("a", tenant="busy", deadline=1.0)


class TestEstimates:
    @pytest.mark.parametrize("seconds", [0.0, -5.0])
    def test_a_unit_whose_time_is_unknown_does_not_change_them(
        self, desk: Desk, seconds: float
    ) -> None:
        desk.learn(seconds=1.0)
        desk.learn(seconds)
        desk.submit("a")
        assert desk.scheduler.estimate_wait(EXPLAIN, job="a") == 1.0

    def test_an_idle_machine_starts_at_once(self, desk: Desk) -> None:
        desk.learn(seconds=1.0)
        assert desk.scheduler.estimate_wait(EXPLAIN) == 0.0

    def test_more_devices_wait_less(self) -> None:
        waits = []
        for workers in (1, 4):
            desk = Desk(workers=workers)
            desk.learn(seconds=1.0)
            for number in range(20):
                desk.submit(f"a{number}")
            waits.append(desk.scheduler.estimate_wait(EXPLAIN, job="a"))
        assert waits == [20.0, 5.0]

    def test_follow_the_devices_that_are_there(self, desk: Desk) -> None:
        desk.learn(seconds=1.0)
        for number in range(20):
            desk.submit(f"a{number}")
        desk.scheduler.workers = 2
        assert desk.scheduler.estimate_wait(EXPLAIN, job="a") == 10.0

    def test_a_newcomer_waits_for_half_of_a_round_of_the_others(self, desk: Desk) -> None:
        desk.learn(seconds=1.0)
        for tenant in range(20):
            for number in range(10):
                desk.submit(f"a{number}", tenant=f"tenant {tenant}")
        assert desk.scheduler.estimate_wait(EXPLAIN, "newcomer") == pytest.approx(10.0)

    def test_a_lower_class_waits_no_longer_than_its_share_allows(self) -> None:
        desk = Desk(Policy(queue_limits=ROOMY))
        desk.learn(seconds=1.0)
        for number in range(5000):
            desk.submit(f"a{number}", INTERACTIVE)
        for number in range(4):
            desk.submit(f"b{number}", BULK)
        assert desk.scheduler.estimate_wait(BULK, job="b") == pytest.approx(4 + 5 * 20)
        assert desk.scheduler.estimate_wait(EXPLAIN) == pytest.approx(20)

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize(
        ("priority", "tenant", "job"),
        [
            (EXPLAIN, "a", "large"),
            (EXPLAIN, "a", "small"),
            (EXPLAIN, "a", "new"),
            (EXPLAIN, "b", "new"),
            (EXPLAIN, "newcomer", "new"),
            (BULK, "a", "bulk"),
        ],
    )
    def test_are_what_a_simulation_waits(
        self, priority: Priority, tenant: str, job: str, workers: int
    ) -> None:
        """Within a fifth and five units of what one more unit of a closed system really waits."""
        policy = Policy(queue_limits=ROOMY, weights={"a": 3.0})
        simulation = Simulation(policy, workers)
        for units, its_priority, its_tenant, its_job in (
            (300, EXPLAIN, "a", "large"),
            (40, EXPLAIN, "a", "small"),
            (200, EXPLAIN, "b", "large"),
            (50, BULK, "a", "bulk"),
            (30, INTERACTIVE, "c", "calls"),
        ):
            simulation.add(
                Source(its_tenant, its_priority, window=units, total=units, name=its_job)
            )
        simulation.run(20)
        source = Source(tenant, priority, window=1, total=1, name=job)
        estimate = simulation.scheduler.estimate_wait(priority, tenant, source.job)
        asked = ("asked", source.job, 0)
        simulation.scheduler.submit(
            asked, now=simulation.now, priority=priority, tenant=tenant, job=source.job
        )
        simulation._sources.setdefault(source.job, Source(total=0))
        waited = next(each.waited for each in simulation.run(1000) if each.unit == asked)
        assert estimate == pytest.approx(waited, rel=0.2, abs=5 * 0.005)
