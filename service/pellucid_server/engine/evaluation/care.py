"""Evaluations that servers died of: computed alone and image by image, and given up in the end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from pellucid_server.engine.evaluation.hold import Hold
from pellucid_server.errors import EvaluationFailed
from pellucid_server.evaluate.store import Evaluation

DEATHS = 8
"""That weigh as much as one crash: of these nothing is known, and somebody may have killed it."""
PULSE = 0.25
"""Seconds between looks at whether the work is to stop meanwhile."""


def untold(_: str) -> AbstractContextManager[None]:
    """Tells nobody what is computed."""
    return nullcontext()


@dataclass
class Care:
    """How much of it an evaluation needs."""

    crashes: int = 3
    """At the same image, after which it is given up."""
    computing: Callable[[str], AbstractContextManager[None]] = untold
    """Tells the next server what this one was computing, if it crashes."""
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def check(self, claimed: Evaluation) -> None:
        """Gives up where servers died too often.

        Raises:
            EvaluationFailed: of this evaluation.
        """
        if claimed.crashes >= self.crashes:
            what = f"the server crashed {claimed.crashes} times"
        elif claimed.attempts > self.crashes * DEATHS:
            what = f"servers ended {claimed.attempts - 1} times"
        else:
            return
        raise EvaluationFailed(
            f"{what} at image {claimed.next_index} of the data set: see the server's log, take "
            "the image out or resume the evaluation"
        )

    @contextmanager
    def taken(self, hold: Hold) -> Iterator[None]:
        """Takes care, where it is due: until this ends, no other that is due goes on here."""
        claimed = hold.claimed
        if not claimed.crashes and claimed.attempts <= self.crashes * (DEATHS - 1):
            yield
            return
        while not self._alone.acquire(timeout=PULSE):
            hold.check()
        hold.careful = True
        try:
            with self.computing(claimed.name):
                yield
        finally:
            hold.careful = False
            self._alone.release()
