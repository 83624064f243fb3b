"""Notices work that does not come back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

TICK = 1.0
"""Seconds between looks, at most."""
LOOKS = 10
"""In the time that work may take, at least."""
GRACE = 5.0
"""Seconds that work which was asked to end has for it, at most."""


@dataclass(eq=False, slots=True)
class Watched:
    """Work that is waited for, `limit` seconds at most.

    `ask` asks it to end; where that does not help, `give_up` hears that nobody waits any more.
    Both are called by the watchdog's thread.
    """

    limit: float
    ask: Callable[[], None]
    give_up: Callable[[], None]
    age: float = 0.0
    paused: bool = False
    asked: bool = False

    @property
    def patience(self) -> float:
        """Seconds after which the next thing is done."""
        return self.limit + min(GRACE, self.limit) if self.asked else self.limit

    def pause(self) -> None:
        """What comes next is somebody else's."""
        self.paused = True

    def go_on(self) -> None:
        """A new step begins, with as much time."""
        self.age, self.paused = 0.0, False


class Watchdog:
    """Looks now and then at all that is in work.

    Time is counted in looks, so that a process which stood still as a whole (stopped, or on a
    machine that slept) has not aged by it.
    """

    def __init__(self, shortest: float) -> None:
        self._tick = min(TICK, shortest / LOOKS)
        self._watched: dict[Watched, None] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def watch(self, watched: Watched) -> None:
        """Waits for it from now on."""
        self._watched[watched] = None

    def end(self, watched: Watched) -> bool:
        """It came back; False where it was given up before."""
        return self._watched.pop(watched, False) is None

    def close(self) -> None:
        """Looks no more."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._closing.wait(self._tick):
            now = time.monotonic()
            self._look(min(now - last, 2 * self._tick))
            last = now

    def _look(self, seconds: float) -> None:
        for watched in tuple(self._watched):
            if watched.paused:
                continue
            watched.age += seconds
            if watched.age > watched.patience:
                try:
                    self._act(watched)
                except Exception:  # the watchdog outlives what it is told to do
                    log.exception("watchdog")

    def _act(self, watched: Watched) -> None:
        if not watched.asked:
            watched.asked = True
            watched.ask()
        elif self.end(watched):
            watched.give_up()
