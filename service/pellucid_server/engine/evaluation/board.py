"""What runs here now, for those who watch it."""

import threading
import time
from dataclasses import dataclass, field

from pellucid_server.engine.evaluation.request import Progress


@dataclass
class Board:
    """The latest progress of each evaluation that runs in this process."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _latest: dict[str, Progress] = field(default_factory=dict)

    def post(self, name: str, progress: Progress) -> None:
        """Replaces what was known of an evaluation."""
        with self._changed:
            self._latest[name] = progress
            self._changed.notify_all()

    def remove(self, name: str) -> None:
        """It ended, or runs elsewhere."""
        with self._changed:
            self._latest.pop(name, None)
            self._changed.notify_all()

    @property
    def left(self) -> int:
        """Images that are yet to be done, of all that runs here."""
        with self._changed:
            return sum(max(each.total - each.done, 0) for each in self._latest.values())

    def appears(self, name: str, patience: float) -> None:
        """Waits until an evaluation runs here, or patience ends."""
        with self._changed:
            self._changed.wait_for(lambda: name in self._latest, patience)

    def latest(self, name: str, seen: Progress | None, patience: float) -> Progress | None:
        """Waits for something newer than `seen`; None where it does not run here."""
        until = time.monotonic() + patience
        with self._changed:
            while name in self._latest and self._latest[name] is seen:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._latest.get(name)
