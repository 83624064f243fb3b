"""What single calls were promised: who would wait too long is told before any work is done.

A queue's length says little: what waits may be of a small model or of a large one, and what is
still being decoded is not in it. So calls are counted from the moment at which their model is
known, each with the time that the machine took lately for an input of that model.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pellucid_server.call import Call
from pellucid_server.errors import DeadlineExceeded, Overloaded
from pellucid_server.runtime.served import ServedModel

GUESS = 0.01
"""Seconds that the machine is taken to need for an input where nothing was measured yet."""
MEMORY = 8
"""Inputs over which their seconds are averaged."""
FEW = 4
"""Calls that are never refused, nor is twice what runs at once: an estimate of so few may err, and
devices must not run dry."""
SHORTEST_RETRY, LONGEST_RETRY = 0.1, 60.0
PATIENCE = 0.5
"""Seconds between looks at whether a waiting caller hung up."""


class Work:
    """Seconds of the machine that are promised, to whom: how long one more would wait.

    Tenants share what there is by their weights, as they do in the scheduler.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._of: dict[str, float] = {}
        self._calls: Counter[str] = Counter()
        self._weight = 0.0
        self.total = 0.0
        self.calls = 0
        """Calls that are promised something."""

    def start(self, tenant: str) -> None:
        """A call begins."""
        if not self._calls[tenant]:
            self._of[tenant] = 0.0
            self._weight += self._weights.get(tenant, 1.0)
        self._calls[tenant] += 1
        self.calls += 1

    def end(self, tenant: str) -> None:
        """A call ends; all of its work was taken back."""
        self._calls[tenant] -= 1
        self.calls -= 1
        if not self._calls[tenant]:
            del self._calls[tenant], self._of[tenant]
            self._weight -= self._weights.get(tenant, 1.0)
        if not self._calls:
            self.total = self._weight = 0.0

    def add(self, tenant: str, seconds: float) -> None:
        """Changes what a tenant with a call is promised."""
        self._of[tenant] += seconds
        self.total += seconds

    def ahead(self, tenant: str) -> float:
        """What would be done before one more input of a tenant, in seconds."""
        weight = self._weights.get(tenant, 1.0)
        waits = tenant in self._of
        rivals = (self._weight - waits * weight) / weight
        own = self._of.get(tenant, 0.0)
        first_round = (len(self._of) - waits) / 2 * self.total / max(self.calls, 1)
        return min(self.total, own * (1 + rivals) + first_round)


@dataclass
class Promise:
    """Inputs of a call that are to be done, and what each takes."""

    tenant: str
    left: int
    seconds: float


class Promises:
    """Lets calls in while they would wait no longer than `longest` seconds; safe for threads."""

    def __init__(
        self,
        longest: float | None,
        *,
        workers: int,
        cores: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._longest = longest
        self._workers = workers
        self._cores = cores
        lock = threading.RLock()
        self._changed, self._none = threading.Condition(lock), threading.Condition(lock)
        self._ended = -math.inf
        self._next, self._whole = Work(weights or {}), Work(weights or {})
        self._seconds: WeakKeyDictionary[ServedModel, float] = WeakKeyDictionary()

    def expected(self) -> float:
        """Seconds until all that was promised is done."""
        with self._changed:
            return self._next.total

    def check(self, call: Call) -> None:
        """For a call of one input, of whatever model.

        Raises:
            Overloaded: it would wait too long.
        """
        with self._changed:
            self._check(call, self._longest, inputs=1)

    @contextmanager
    def give(
        self, model: ServedModel, inputs: int, call: Call, *, patient: bool = False
    ) -> Iterator["Meter"]:
        """Promises the work of a call; who is patient waits until there is room.

        Raises:
            Overloaded, DeadlineExceeded: it would wait too long.
            Cancelled: while it waited for room.
        """
        with self._changed:
            seconds = self._seconds.get(model, GUESS)
            if patient:
                self._wait_for_room(call)
            else:
                self._check(call, self._longest, inputs)
            promise = Promise(call.tenant, inputs, seconds)
            self._begin(promise)
        try:
            yield Meter(self, model, promise)
        finally:
            with self._changed:
                self._finish(promise)

    def lately(self, seconds: float) -> bool:
        """Whether there are calls, or one ended so lately."""
        with self._changed:
            return bool(self._next.calls) or time.monotonic() - self._ended < seconds

    def make_way(self, longest: float) -> None:
        """Waits until there are no calls, so many seconds at most."""
        with self._none:
            self._none.wait_for(lambda: not self._next.calls, longest)

    def done(self, model: ServedModel, promise: Promise, device: float, cpu: float) -> None:
        """An input is done, in so many seconds of a device and of a core."""
        seconds = device / self._workers + cpu / self._cores
        with self._changed:
            before = self._seconds.get(model, seconds)
            self._seconds[model] = before + (seconds - before) / MEMORY
            self._take(promise, 1)

    def _wait_for_room(self, call: Call) -> None:
        # Streams fill what single calls leave, so that these are not refused for their sake.
        half = None if self._longest is None else self._longest / 2
        while True:
            try:
                self._check(call, half, inputs=1)
            except Overloaded:
                self._changed.wait(min(PATIENCE, max(call.remaining, 0)))
                call.check()
            else:
                return

    def _check(self, call: Call, longest: float | None, inputs: int) -> None:
        # Calls of several inputs wait for each other: they have `workers` threads between them.
        work = self._next if inputs == 1 else self._whole
        if work.calls < max(FEW, 2 * self._workers):
            return
        wait = work.ahead(call.tenant)
        if longest is not None and wait > longest:
            retry_after = min(max(wait / 2, SHORTEST_RETRY), LONGEST_RETRY)
            raise Overloaded(
                f"the work would begin in {wait:.1f} s, and {longest:g} s is the limit (setting "
                f"`limits.wait_seconds`): try again in {retry_after:.1f} s",
                retry_after=retry_after,
                reason="wait",
            )
        if wait > call.remaining:
            raise DeadlineExceeded(
                f"{call.remaining:.3f} s are left, and the work would begin in {wait:.3f} s: allow "
                "more time, or try again later",
                reason="deadline",
            )

    def _begin(self, promise: Promise) -> None:
        for work in (self._next, self._whole):
            work.start(promise.tenant)
        self._next.add(promise.tenant, self._shown(promise))
        self._whole.add(promise.tenant, promise.left * promise.seconds)

    def _take(self, promise: Promise, inputs: int) -> None:
        before = self._shown(promise)
        promise.left -= inputs
        self._next.add(promise.tenant, self._shown(promise) - before)
        self._whole.add(promise.tenant, -inputs * promise.seconds)
        self._changed.notify()

    def _finish(self, promise: Promise) -> None:
        self._take(promise, promise.left)
        for work in (self._next, self._whole):
            work.end(promise.tenant)
        self._ended = time.monotonic()
        if not self._next.calls:
            self._none.notify_all()

    def _shown(self, promise: Promise) -> float:
        """What other single inputs may have to wait for: no more of a call is queued at once."""
        return min(promise.left, self._workers) * promise.seconds


@dataclass(frozen=True)
class Meter:
    """Measures the inputs of one call."""

    promises: Promises
    model: ServedModel
    promise: Promise

    @contextmanager
    def input(self) -> Iterator["Spent"]:
        """One input, on one thread; what it spent on devices is to be filled in."""
        start, spent = time.thread_time(), Spent()
        yield spent
        cpu = time.thread_time() - start
        self.promises.done(self.model, self.promise, spent.device, cpu)


@dataclass
class Spent:
    """Seconds on devices."""

    device: float = 0.0
