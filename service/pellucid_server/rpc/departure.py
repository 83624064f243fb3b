"""How the server goes away without losing a call.

Clients that watch health leave first. gRPC's core ends calls that arrive while it shuts down with
CANCELLED (grpc/grpc#41785), so the shutdown waits until none arrives for a moment. Then it sends
GOAWAY, takes no more calls, and those that run go on. Those that cannot end in time are told so.
"""

import threading
import time

from pellucid_server.call import Call
from pellucid_server.errors import Stopping

QUIET = 0.1
"""Seconds without a new call after which clients are taken to have left."""
LONGEST_UNREST = 1.0
"""Seconds after which the shutdown begins all the same: some clients watch nothing."""
LAST_WORD = 0.2
"""Share of the time to drain that is left when those that run are told, ..."""
LONGEST_LAST_WORD = 3.0
"""... in seconds at most: enough to stop the work and to send the status."""


class Departure:
    """The calls that run, for when the server goes away."""

    def __init__(self) -> None:
        self._running: dict[int, Call] = {}
        self._latest = time.monotonic()
        self.begun = threading.Event()
        """Set: streams on which nothing happens end."""

    def begin(self, call: Call) -> None:
        """The call runs from now on."""
        self._latest = time.monotonic()
        self._running[id(call)] = call

    def end(self, call: Call) -> None:
        """It runs no more."""
        del self._running[id(call)]

    def wait_until_quiet(self) -> None:
        """Waits until no new call arrives any more, or for a second."""
        begun = self._latest = time.monotonic()
        while (now := time.monotonic()) < begun + LONGEST_UNREST:
            left = self._latest + QUIET - now
            if left <= 0:
                return
            time.sleep(left)

    def check(self, call: Call, in_flight: int) -> None:
        """Ends a stream of requests where nothing happens on it, or its call was told to."""
        call.check()
        if self.begun.is_set() and not in_flight:
            raise going_away()

    def tell(self) -> None:
        """Ends the calls that run: each gets a status that says what to do."""
        for call in tuple(self._running.values()):
            call.stop(going_away())


def last_word(grace: float) -> float:
    """Seconds before the end of `grace` at which those that run are told."""
    return min(grace * LAST_WORD, LONGEST_LAST_WORD)


def going_away() -> Stopping:
    """What a call is told that cannot go on."""
    return Stopping(
        "the server goes away before this call can end: send what has no answer again, and "
        "another server, or this one when it is back, takes it"
    )
