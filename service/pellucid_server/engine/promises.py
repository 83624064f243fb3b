"""What single calls were promised: who would wait too long is told before any work is done.

A queue's length says little: what waits may be of a small model or of a large one, and what is
still being decoded is not in it. So calls are counted from the moment at which their model is
known, each with the time that the machine took lately for an input of that model.
"""

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
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


@dataclass(slots=True)
class Load:
    """Seconds of the machine that are promised to calls."""

    calls: int = 0
    soon: float = 0.0
    """What one more input may have to wait for: no more of a call is queued at once."""
    whole: float = 0.0
    """What one more call of several inputs may have to."""


NOTHING = Load()


class Work:
    """What is promised, to whom: how long one more would wait; not safe for threads.

    Tenants share what there is by their weights, as they do in the scheduler.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._of: dict[str, Load] = {}
        self._weight = 0.0
        self.total = Load()

    def start(self, tenant: str, soon: float, whole: float) -> None:
        """A call begins."""
        own = self._of.get(tenant)
        if own is None:
            own = self._of[tenant] = Load()
            self._weight += self._weights.get(tenant, 1.0)
        own.calls += 1
        self.total.calls += 1
        self.add(tenant, soon, whole)

    def end(self, tenant: str) -> None:
        """A call ends; all of its work was taken back."""
        own, total = self._of[tenant], self.total
        own.calls -= 1
        total.calls -= 1
        if not own.calls:
            del self._of[tenant]
            self._weight -= self._weights.get(tenant, 1.0)
        if not total.calls:
            total.soon = total.whole = self._weight = 0.0

    def add(self, tenant: str, soon: float, whole: float) -> None:
        """Changes what a tenant with a call is promised."""
        for load in (self._of[tenant], self.total):
            load.soon += soon
            load.whole += whole

    def ahead(self, tenant: str, *, whole: bool) -> float:
        """What would be done before one more input of a tenant, in seconds."""
        weight = self._weights.get(tenant, 1.0)
        own, waits = self._of.get(tenant, NOTHING), tenant in self._of
        rivals = (self._weight - waits * weight) / weight
        mine, total = (own.whole, self.total.whole) if whole else (own.soon, self.total.soon)
        first_round = (len(self._of) - waits) / 2 * total / max(self.total.calls, 1)
        return min(total, mine * (1 + rivals) + first_round)


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
        self._always = max(FEW, 2 * workers)
        self._lock = lock = threading.RLock()
        self._changed, self._none = threading.Condition(lock), threading.Condition(lock)
        self._ended = -math.inf
        self._work = Work(weights or {})
        self._seconds: WeakKeyDictionary[ServedModel, float] = WeakKeyDictionary()

    def expected(self) -> float:
        """Seconds until all that was promised is done."""
        with self._lock:
            return self._work.total.soon

    def check(self, call: Call) -> None:
        """For a call of one input, of whatever model.

        Raises:
            Overloaded: it would wait too long.
        """
        with self._lock:
            self._check(call, self._longest, inputs=1)

    def give(
        self, model: ServedModel, inputs: int, call: Call, *, patient: bool = False
    ) -> "Promise":
        """Promises the work of a call, to be entered; who is patient waits until there is room.

        Raises:
            Overloaded, DeadlineExceeded: it would wait too long.
            Cancelled: while it waited for room.
        """
        with self._lock:
            seconds = self._seconds.get(model, GUESS)
            if patient:
                self._wait_for_room(call)
            else:
                self._check(call, self._longest, inputs)
            promise = Promise(self, model, call.tenant, inputs, seconds)
            self._work.start(call.tenant, self._soon(promise), inputs * seconds)
        return promise

    def lately(self, seconds: float) -> bool:
        """Whether there are calls, or one ended so lately."""
        with self._lock:
            return bool(self._work.total.calls) or time.monotonic() - self._ended < seconds

    def make_way(self, longest: float) -> None:
        """Waits until there are no calls, so many seconds at most."""
        with self._lock:
            self._none.wait_for(lambda: not self._work.total.calls, longest)

    def done(self, promise: "Promise", device: float, cpu: float) -> None:
        """An input is done, in so many seconds of a device and of a core."""
        seconds = device / self._workers + cpu / self._cores
        with self._lock:
            before = self._seconds.get(promise.model, seconds)
            self._seconds[promise.model] = before + (seconds - before) / MEMORY
            self._take(promise, 1)
            self._changed.notify()

    def end(self, promise: "Promise") -> None:
        """A call has ended, whatever was done of it."""
        with self._lock:
            if promise.left:
                self._take(promise, promise.left)
            self._work.end(promise.tenant)
            self._ended = time.monotonic()
            self._changed.notify()
            if not self._work.total.calls:
                self._none.notify_all()

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
        total, most = self._work.total, math.inf if longest is None else longest
        if total.calls < self._always or total.whole <= min(most, call.remaining):
            return
        # Calls of several inputs wait for each other: they have `workers` threads between them.
        wait = self._work.ahead(call.tenant, whole=inputs > 1)
        if wait > most:
            retry_after = min(max(wait / 2, SHORTEST_RETRY), LONGEST_RETRY)
            raise Overloaded(
                f"the work would begin in {wait:.1f} s, and {most:g} s is the limit (setting "
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

    def _take(self, promise: "Promise", inputs: int) -> None:
        before = self._soon(promise)
        promise.left -= inputs
        self._work.add(promise.tenant, self._soon(promise) - before, -inputs * promise.seconds)

    def _soon(self, promise: "Promise") -> float:
        return min(promise.left, self._workers) * promise.seconds


@dataclass(slots=True)
class Promise:
    """Inputs of a call that are to be done, and what each takes; entered while they are."""

    promises: Promises
    model: ServedModel
    tenant: str
    left: int
    seconds: float

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.promises.end(self)

    def input(self) -> "Spent":
        """One of the inputs, on one thread: to be entered."""
        return Spent(self)


class Spent:
    """What an input takes: of this thread it is measured, of devices it is to be filled in."""

    __slots__ = ("_promise", "_start", "device")

    def __init__(self, promise: Promise) -> None:
        self._promise, self.device = promise, 0.0

    def __enter__(self) -> Self:
        self._start = time.thread_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            cpu = time.thread_time() - self._start
            self._promise.promises.done(self._promise, self.device, cpu)
