"""Whatever is submitted, taken, given back and cancelled, in whatever order: the rules hold."""

import math
from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pellucid_server.errors import DeadlineExceeded, Overloaded
from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler, Taken

Home = tuple[Priority, str]
PLACES_PER_FREE = 4.0


@dataclass(eq=False)
class Told:
    """What the model knows of a unit."""

    number: int
    home: Home
    job: str
    deadline: float
    returned: bool = False


class Caller(RuleBasedStateMachine):
    """Keeps lists where the scheduler keeps heaps."""

    @initialize(
        limit=st.integers(1, 12), strict=st.booleans(), remembered=st.sampled_from([0, 1, 256])
    )
    def start(self, *, limit: int, strict: bool, remembered: int) -> None:
        self.limit, self.strict = limit, strict
        policy = Policy(
            queue_limits=dict.fromkeys(Priority, limit),
            shares={} if strict else {Priority.EXPLAIN: 0.4, Priority.BULK: 0.3},
            weights={"a": 3.0, "b": 0.2},
            places_per_free=PLACES_PER_FREE,
            remembered_tenants=remembered,
        )
        self.scheduler: Scheduler[Told] = Scheduler(policy, workers=2)
        self.now = 0.0
        self.submitted = 0
        self.waiting: list[Told] = []
        self.running: list[Taken[Told]] = []
        self.cancelled: set[int] = set()
        self.expired: list[Told] = []
        self.ended: Counter[int] = Counter()

    @rule(
        priority=st.sampled_from(Priority),
        tenant=st.sampled_from("abcd"),
        job=st.sampled_from("xyz"),
        left=st.sampled_from([-1.0, 0.0, 1.0, 3.0, math.inf]),
        cost=st.sampled_from([0.5, 1.0, 7.0]),
    )
    def submit(self, priority: Priority, tenant: str, job: str, left: float, cost: float) -> None:
        unit = Told(self.submitted, (priority, tenant), job, self.now + left)
        self._expire()
        same_class = [each for each in self.waiting if each.home[0] is priority]
        mine = sum(each.home[1] == tenant for each in same_class)
        free = self.limit - len(same_class)
        fits = free > 0 and mine < PLACES_PER_FREE * free
        wanted = DeadlineExceeded if left <= 0 else None if fits else Overloaded
        outcome = None
        try:
            self.scheduler.submit(
                unit,
                now=self.now,
                priority=priority,
                tenant=tenant,
                job=job,
                deadline=unit.deadline,
                cost=cost,
            )
        except (DeadlineExceeded, Overloaded) as error:
            outcome = type(error)
        else:
            self.submitted += 1
            self.waiting.append(unit)
        assert outcome is wanted

    @rule()
    def take(self) -> None:
        self._expire()
        taken = self.scheduler.take(self.now)
        assert (taken is None) == (not self.waiting)
        if taken:
            self._check_turn(taken.unit)
            self.waiting.remove(taken.unit)
            self.running.append(taken)

    def _check_turn(self, unit: Told) -> None:
        rivals = [each for each in self.waiting if each.home == unit.home]
        assert unit in rivals
        assert unit.number == min(each.number for each in rivals if each.job == unit.job)
        if back := [each.number for each in rivals if each.returned]:
            assert unit.number == min(back)
        if self.strict:
            assert unit.home[0] == min(each.home[0] for each in self.waiting)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        taken = self._pick(data)
        self.scheduler.done(taken, 0.0)
        self.cancelled.discard(taken.unit.number)
        self.ended[taken.unit.number] += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        unit = (taken := self._pick(data)).unit
        kept = self.scheduler.give_back(taken)
        assert kept == (unit.number not in self.cancelled)
        if kept:
            unit.returned = True
            self.waiting.append(unit)
        else:
            self.cancelled.remove(unit.number)
            self.ended[unit.number] += 1

    @rule(job=st.sampled_from("xyz"))
    def cancel(self, job: str) -> None:
        gone = self.scheduler.cancel(job)
        expected = sorted(
            (each for each in self.waiting if each.job == job), key=lambda each: each.number
        )
        assert gone == expected
        self.waiting = [each for each in self.waiting if each.job != job]
        self.ended.update(each.number for each in gone)
        self.cancelled |= {each.unit.number for each in self.running if each.unit.job == job}

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask_for_expired(self) -> None:
        self._expire()
        told = self.scheduler.expire(self.now)
        assert Counter(told) == Counter(self.expired)
        self.expired = []
        self.ended.update(each.number for each in told)

    @invariant()
    def counts_are_right(self) -> None:
        count = Counter(each.home[0] for each in self.waiting)
        assert self.scheduler.waiting() == {priority: count[priority] for priority in Priority}
        soonest = min((each.deadline for each in self.waiting), default=math.inf)
        assert self.scheduler.next_deadline == soonest
        assert all(self.scheduler.estimate_wait(each, "a", "x") >= 0 for each in Priority)

    def teardown(self) -> None:
        """Every unit ended exactly once, and nothing is left behind."""
        if not hasattr(self, "scheduler"):
            return
        self.ask_for_expired()
        while self.waiting:
            self.take()
        for taken in self.running:
            self.scheduler.done(taken, 0.0)
            self.ended[taken.unit.number] += 1
        assert self.ended == Counter(range(self.submitted))
        assert not self.scheduler._jobs
        assert not self.scheduler._running
        assert not self.scheduler._abandoned
        assert not self.scheduler._deadlines
        for queue in self.scheduler._queues.values():
            assert not queue._tenants
            assert queue.cost == 0.0

    def _pick(self, data: st.DataObject) -> Taken[Told]:
        return self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))

    def _expire(self) -> None:
        late = [each for each in self.waiting if each.deadline <= self.now]
        self.expired += late
        self.waiting = [each for each in self.waiting if each.deadline > self.now]


Caller.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestCaller = Caller.TestCase
