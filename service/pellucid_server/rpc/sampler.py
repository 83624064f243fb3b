import threading
import time

INTERVAL = 1.0
"""Seconds between two log lines of a kind."""


class Sampler:
    """Thins out log lines that come by the thousand: one of a kind in a while tells of the rest.

    Kinds are remembered, so their number must be bounded by what names them.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._lock = threading.Lock()
        self._due: dict[tuple[str, str], float] = {}
        self._missed: dict[tuple[str, str], int] = {}

    def missed(self, method: str, reason: str) -> int | None:
        """How many of this kind were left out since the last line; None: leave this out too."""
        key, now = (method, reason), time.monotonic()
        with self._lock:
            if now < self._due.get(key, 0.0):
                self._missed[key] = self._missed.get(key, 0) + 1
                return None
            self._due[key] = now + self._interval
            return self._missed.pop(key, 0)
