"""Whether the server takes calls, and if not, what it waits for."""

import threading
from collections.abc import Callable, Sequence
from enum import StrEnum

import structlog

from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()

Waits = Callable[[], Sequence[str]]
"""What is waited for at the moment, in words."""


class Status(StrEnum):
    """How the server stands."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    DRAINING = "draining"


class Readiness:
    """Starting until `serve`, ready until `leave` but for pauses, draining for ever after."""

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.ready
        self._waits: Waits = tuple
        self._changing = threading.Lock()
        self.status = Status.STARTING

    @property
    def waits_for(self) -> tuple[str, ...]:
        """What keeps it from being ready."""
        return tuple(self._waits())

    def wait_for(self, *waits: str) -> None:
        """Says what comes next, in the log too."""
        self.watch(lambda: waits)
        log.info("starting", waits_for=waits)

    def watch(self, waits: Waits) -> None:
        """Has `waits` asked for what comes next, whenever somebody wants to know."""
        with self._changing:
            if self.status is Status.STARTING:
                self._waits = waits

    def serve(self) -> None:
        """The server takes calls from now on, unless it goes already."""
        with self._changing:
            if self.status is Status.STARTING:
                self.status, self._waits = Status.READY, tuple
                self._gauge.set(1)

    def pause(self, *waits: str) -> bool:
        """It takes no calls until `resume`; whether it did before."""
        with self._changing:
            if self.status is not Status.READY:
                return False
            self.status, self._waits = Status.WAITING, lambda: waits
            self._gauge.set(0)
        return True

    def resume(self) -> bool:
        """It takes calls again; whether it was paused."""
        with self._changing:
            if self.status is not Status.WAITING:
                return False
            self.status, self._waits = Status.READY, tuple
            self._gauge.set(1)
        return True

    def leave(self) -> None:
        """The server goes away."""
        with self._changing:
            self.status, self._waits = Status.DRAINING, lambda: ("the calls that run to end",)
            self._gauge.set(0)
