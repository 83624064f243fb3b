"""A unit's turn at a worker's place, and how long it is waited for."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.device import Device
from pellucid_server.runtime.lanes import Lane
from pellucid_server.runtime.scheduling import Taken
from pellucid_server.runtime.units import Unit
from pellucid_server.runtime.watchdog import Watched


class GivenUp(BaseException):
    """Nobody waits for this thread any more: it ends as soon as it can."""


class Stalled(Exception):
    """An inference did not come back in time."""


@dataclass(eq=False)
class Seat:
    """A worker's place at a device; turns are one within the other: units let others pass."""

    device: Device
    lane: Lane
    worker: int
    turns: "list[Turn]" = field(default_factory=list)
    busy: "set[Seat]" = field(default_factory=set)
    """Those of its lane at which something runs: they may be more than the lane has streams."""

    @property
    def share(self) -> float:
        """Of a stream, for what runs here."""
        return min(self.device.spec.streams / max(len(self.busy), 1), 1.0)


@dataclass(eq=False)
class Turn:
    """A unit that runs; called between its inferences, it lets others pass."""

    seat: Seat
    unit: Unit
    parts: "Sequence[Taken[Unit]]"
    """What was taken for it: itself, or several that run together."""
    let_pass: "Callable[[Turn], bool]"
    watched: Watched = field(init=False)
    seconds: float = 0.0
    """That it let pass."""
    share: float = 1.0
    """Of a stream that it had, of those of its lane."""
    compiled: Compiled | None = None

    def __call__(self) -> bool:
        """Whether something else ran."""
        start = time.monotonic()
        self.watched.pause()
        ran = self.let_pass(self)
        self.watched.go_on()
        self.seconds += time.monotonic() - start
        return ran

    @property
    def precision(self) -> str:
        """What it is computed in."""
        return self.compiled.precision if self.compiled else ""
