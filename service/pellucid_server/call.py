import math
import threading
import time
from dataclasses import dataclass, field

from pellucid_server.errors import Cancelled, DeadlineExceeded


@dataclass(frozen=True)
class Call:
    """One call of a client: who asks, until when, and whether it hung up.

    `deadline` is on `time.monotonic`'s clock.
    """

    request_id: str = ""
    tenant: str = ""
    deadline: float = math.inf
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without a deadline."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Ends the work where nobody waits for it any more.

        Raises:
            Cancelled: the caller hung up.
            DeadlineExceeded: the deadline passed.
        """
        if self.cancelled.is_set():
            raise Cancelled("the caller hung up")
        if self.remaining <= 0:
            raise DeadlineExceeded("the deadline passed before the work was done")
