import itertools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Generic

from pellucid_server.errors import DeadlineExceeded, Overloaded
from pellucid_server.runtime.scheduling.entry import Entry, Taken, U
from pellucid_server.runtime.scheduling.fair_queue import FairQueue
from pellucid_server.runtime.scheduling.policy import ALL, Classes, Policy, Priority
from pellucid_server.runtime.scheduling.shares import Charges, Shares
from pellucid_server.runtime.scheduling.speed import Speed
from pellucid_server.runtime.scheduling.tag_heap import TagHeap

RETRY_AFTER = 1.0
"""Seconds to try again after, where nothing was measured yet."""
SHORTEST_RETRY, LONGEST_RETRY = 0.1, 60.0


class Scheduler(Generic[U]):
    """Decides which unit runs next: by class, then tenant, then job, then arrival.

    Not safe for threads: the dispatcher calls it under one lock. Every operation takes O(log n)
    for n waiting units, amortised; `cancel` and `expire` that for each unit they remove. Times are
    seconds on any one clock.
    """

    def __init__(self, policy: Policy | None = None, *, workers: int = 1) -> None:
        self.workers = workers
        """Units that run at once; the dispatcher changes it as devices come and go."""
        self._policy = policy or Policy()
        self._queues: dict[Priority, FairQueue[U]] = {
            priority: FairQueue(self._policy) for priority in Priority
        }
        self._shares: dict[Classes, Shares] = {}
        self._speeds: dict[Classes, Speed] = {}
        self._orders = itertools.count()
        self._jobs: dict[Hashable, dict[int, Entry[U]]] = {}
        self._deadlines: TagHeap[Entry[U]] = TagHeap()
        self._running: dict[int, Entry[U]] = {}
        self._abandoned: set[int] = set()
        self._expired: list[U] = []

    def submit(
        self,
        unit: U,
        *,
        now: float,
        priority: Priority,
        job: Hashable,
        tenant: str = "",
        deadline: float = math.inf,
        cost: float = 1.0,
        steps: int = 1,
    ) -> None:
        """Lets a unit wait for its turn.

        Args:
            unit: whatever runs.
            now: the time.
            priority: its class.
            job: what it is cancelled with: unique among all callers, so none of their own ids.
            tenant: whom it is charged to.
            deadline: the time after which nobody wants its result.
            cost: its work, relative to others'.
            steps: turns of equal cost that it is made of; see `overtaking`.

        Raises:
            Overloaded: the queue is full; half of it is worked off after `retry_after`.
            DeadlineExceeded: the unit would end too late, by the speed of recent units.
            ValueError: the cost is not above 0 and finite.
        """
        if not 0 < cost < math.inf:
            raise ValueError(f"the cost of a unit must be above 0 and finite, not {cost}")
        self._drop_expired(now)
        entry = Entry(unit, next(self._orders), priority, tenant, job, cost, deadline, now, steps)
        self._admit(entry)
        self._queues[priority].add(entry)
        self._file(entry)

    def take(self, now: float, classes: Classes = ALL) -> Taken[U] | None:
        """The next unit of some classes; it must end with `done` or `give_back`.

        Classes that are taken together share what takes them; others do not pass each other.
        """
        self._drop_expired(now)
        heads = self._heads(classes)
        if not heads:
            return None
        priority, charges = self._shares_of(classes).pick(heads)
        return self._start(priority, classes, charges, now)

    def company(self, taken: Taken[U], now: float, alike: Callable[[U], bool]) -> Taken[U] | None:
        """The next unit, where it is of the same class as one that was taken, and `alike`."""
        priority, classes = taken.entry.priority, taken.classes
        head = self._queues[priority].head()
        if head is None or not alike(head.unit):
            return None
        chosen, charges = self._shares_of(classes).pick(self._heads(classes))
        if chosen != priority:
            self._shares_of(classes).refund(charges)
            return None
        return self._start(priority, classes, charges, now)

    def overtaking(self, running: Taken[U], now: float) -> Taken[U] | None:
        """The unit of a higher class that goes before the next turn of one that runs.

        So a unit of many turns stands aside for higher classes as often as so many units would.
        """
        self._drop_expired(now)
        own, classes = running.entry.priority, running.classes
        heads = {**self._heads(classes), own: running.entry.turn}
        priority, charges = self._shares_of(classes).pick(heads, lowest=own)
        return None if priority == own else self._start(priority, classes, charges, now)

    def contended(self, running: Taken[U]) -> bool:
        """Whether another class waits: a look without a lock is enough to go on."""
        own = running.entry.priority
        return any(len(self._queues[each]) for each in running.classes if each != own)

    def abandoned(self, running: Taken[U]) -> bool:
        """Whether the job of a running unit was cancelled."""
        return running.entry.order in self._abandoned

    def _heads(self, classes: Classes) -> dict[Priority, float]:
        return {each: head.turn for each in classes if (head := self._queues[each].head())}

    def _shares_of(self, classes: Classes) -> Shares:
        shares = self._shares.get(classes)
        if shares is None:
            shares = self._shares[classes] = Shares(self._policy.shares)
        return shares

    def _start(
        self, priority: Priority, classes: Classes, charges: Charges, now: float
    ) -> Taken[U]:
        entry = self._queues[priority].pop()
        self._unfile(entry)
        self._running[entry.order] = entry
        return Taken(entry, now - entry.submitted, classes, charges)

    def done(self, taken: Taken[U], seconds: float) -> None:
        """A unit ran, well or not, for so many seconds; 0: unknown."""
        entry = self._leave(taken)
        self._abandoned.discard(entry.order)
        self._queues[entry.priority].end()
        if seconds > 0:
            speed = self._speeds.get(taken.classes)
            if speed is None:
                speed = self._speeds[taken.classes] = Speed()
            speed.observe(entry.cost, seconds)

    def give_back(self, taken: Taken[U]) -> bool:
        """A unit could not run for want of a device: it is next in its tenant's turn, for free.

        Returns:
            False where its job was cancelled meanwhile, and the unit is dropped.
        """
        entry = self._leave(taken)
        self._shares_of(taken.classes).refund(taken.charges)
        queue = self._queues[entry.priority]
        queue.give_back(entry)
        if entry.order in self._abandoned:
            self._abandoned.remove(entry.order)
            queue.remove(entry)
            return False
        self._file(entry)
        return True

    def cancel(self, job: Hashable) -> list[U]:
        """Removes the waiting units of a job, in the order of their submission."""
        entries = sorted(self._jobs.get(job, {}).values(), key=lambda entry: entry.order)
        for entry in entries:
            self._remove(entry)
        self._abandoned.update(
            order for order, running in self._running.items() if running.job == job
        )
        return [entry.unit for entry in entries]

    def clear(self) -> list[U]:
        """Removes every waiting unit."""
        entries = [entry for job in self._jobs.values() for entry in job.values()]
        for entry in entries:
            self._remove(entry)
        return [entry.unit for entry in entries]

    def expire(self, now: float) -> list[U]:
        """Every unit that was dropped at its deadline since the last call, by whatever method."""
        self._drop_expired(now)
        expired, self._expired = self._expired, []
        return expired

    @property
    def next_deadline(self) -> float:
        """The earliest deadline of a waiting unit; infinite where none has one."""
        first = self._deadlines.first()
        return first[0] if first else math.inf

    def waiting(self) -> Mapping[Priority, int]:
        """How many units wait in each class."""
        return {priority: len(queue) for priority, queue in self._queues.items()}

    def waiting_of(self, priority: Priority) -> int:
        """How many units wait in one class."""
        return len(self._queues[priority])

    def estimate_wait(self, priority: Priority, tenant: str = "", job: Hashable = None) -> float:
        """Seconds until one more unit would start, if nothing else came; 0 before any ran."""
        if len(self._running) < self.workers and not any(self._queues.values()):
            return 0.0
        return self._seconds(priority, self._queues[priority].ahead(tenant, job))

    def _seconds(self, priority: Priority, work: float) -> float:
        """How long so much work of a class takes, with what runs and what goes before it."""
        before = [self._queues[each] for each in Priority if each < priority]
        higher = sum(queue.cost for queue in before)
        share = self._policy.shares.get(priority, 0.0)
        if higher and share:
            alike = [self._queues[priority]] if self._queues[priority] else before
            unit = sum(queue.cost for queue in alike) / sum(len(queue) for queue in alike)
            higher = min(higher, (work + unit) / share)
        running = sum(
            each.cost if each.priority <= priority else each.turn for each in self._running.values()
        )
        all_work = running / 2 + higher + work
        return all_work * self._seconds_per_cost(priority) / max(self.workers, 1)

    def _seconds_per_cost(self, priority: Priority) -> float:
        """Where it is taken; the slowest, where several take it."""
        speeds = (speed for classes, speed in self._speeds.items() if priority in classes)
        return max((each.seconds_per_cost for each in speeds), default=0.0)

    def _admit(self, entry: Entry[U]) -> None:
        if entry.deadline <= entry.submitted:
            raise DeadlineExceeded(
                "the deadline passed before the work was queued", reason="deadline"
            )
        self._check_room(entry)
        # Idle devices take whatever comes: a wrong estimate of the speed mends itself.
        if entry.deadline == math.inf or not (self._running or any(self._queues.values())):
            return
        wait = self.estimate_wait(entry.priority, entry.tenant, entry.job)
        left = entry.deadline - entry.submitted
        needed = wait + entry.cost * self._seconds_per_cost(entry.priority)
        if needed > left:
            raise DeadlineExceeded(
                f"{left:.3f} s are left, and the work would end in {needed:.3f} s with what waits "
                "before it: allow more time or ask for less",
                reason="deadline",
            )

    def _check_room(self, entry: Entry[U]) -> None:
        queue, limit = self._queues[entry.priority], self._policy.queue_limits[entry.priority]
        free = max(limit - len(queue), 0)
        # Choudhury, Hahne: Dynamic Queue Length Thresholds, 1998.
        if free and queue.waiting_of(entry.tenant) < self._policy.places_per_free * free:
            return
        name = entry.priority.name.lower()
        whose = f"this tenant's part of the {name} queue" if free else f"the {name} queue"
        half = self._seconds(entry.priority, queue.cost / 2) or RETRY_AFTER
        retry_after = min(max(half, SHORTEST_RETRY), LONGEST_RETRY)
        raise Overloaded(
            f"{whose} is full (setting `limits.queue_{name}`): try again in {retry_after:.1f} s",
            retry_after=retry_after,
            reason="queue_full",
        )

    def _drop_expired(self, now: float) -> None:
        while (first := self._deadlines.first()) and first[0] <= now:
            self._remove(first[1])
            self._expired.append(first[1].unit)

    def _remove(self, entry: Entry[U]) -> None:
        self._queues[entry.priority].remove(entry)
        self._unfile(entry)

    def _leave(self, taken: Taken[U]) -> Entry[U]:
        if self._running.pop(taken.entry.order, None) is None:
            raise ValueError("this unit is done or was given back already")
        return taken.entry

    def _file(self, entry: Entry[U]) -> None:
        self._jobs.setdefault(entry.job, {})[entry.order] = entry
        if entry.deadline < math.inf:
            self._deadlines.put(entry, entry.deadline)

    def _unfile(self, entry: Entry[U]) -> None:
        job = self._jobs[entry.job]
        del job[entry.order]
        if not job:
            del self._jobs[entry.job]
        self._deadlines.discard(entry)
