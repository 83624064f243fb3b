"""A machine of a few devices on a clock of its own, fed by tenants who always have more to do."""

import itertools
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler, Taken

Unit = tuple[str, Hashable, int]
"""(tenant, job, number)."""
ROOMY = dict.fromkeys(Priority, 1_000_000)


@dataclass
class Source:
    """Keeps `window` units of one job waiting, `total` in all."""

    tenant: str = ""
    priority: Priority = Priority.EXPLAIN
    cost: Callable[[int], float] = lambda _: 1.0
    window: int = 4
    total: float = math.inf
    name: str = "job"
    sent: int = 0

    @property
    def job(self) -> Hashable:
        return (self.priority, self.tenant, self.name)


@dataclass
class Simulation:
    """Discrete events: each of `workers` devices takes a unit as soon as it is free."""

    policy: Policy = field(default_factory=lambda: Policy(queue_limits=ROOMY))
    workers: int = 1
    seconds: Callable[[float], float] = lambda cost: 0.005 * cost
    now: float = 0.0

    def __post_init__(self) -> None:
        self.scheduler: Scheduler[Unit] = Scheduler(self.policy, workers=self.workers)
        self.history: list[Taken[Unit]] = []
        self._free = self.workers
        self._events: list[tuple[float, int, Taken[Unit]]] = []
        self._numbers = itertools.count()
        self._sources: dict[Hashable, Source] = {}

    def add(self, source: Source) -> None:
        self._sources[source.job] = source
        for _ in range(source.window):
            self._send(source)

    def run(self, units: int) -> list[Taken[Unit]]:
        """Goes on until so many more units were taken, and returns these."""
        start = len(self.history)
        while len(self.history) < start + units:
            if self._free and (taken := self.scheduler.take(self.now)):
                self._start(taken)
            elif self._events:
                self._finish()
            else:
                break
        return self.history[start:]

    def _start(self, taken: Taken[Unit]) -> None:
        self._free -= 1
        self.history.append(taken)
        end = self.now + self.seconds(taken.entry.cost)
        heappush(self._events, (end, next(self._numbers), taken))
        self._send(self._sources[taken.entry.job])

    def _finish(self) -> None:
        self.now, _, taken = heappop(self._events)
        self._free += 1
        self.scheduler.done(taken, self.seconds(taken.entry.cost))

    def _send(self, source: Source) -> None:
        if source.sent < source.total:
            self.scheduler.submit(
                (source.tenant, source.job, source.sent),
                now=self.now,
                priority=source.priority,
                tenant=source.tenant,
                cost=source.cost(source.sent),
                job=source.job,
            )
            source.sent += 1


def work(history: list[Taken[Unit]], tenant: str) -> float:
    """The work that a tenant got."""
    return sum(taken.entry.cost for taken in history if taken.entry.tenant == tenant)


def classes(history: list[Taken[Unit]]) -> list[Priority]:
    return [taken.entry.priority for taken in history]
