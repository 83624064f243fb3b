"""When a failed call is tried again."""

import math
import time
from dataclasses import dataclass, field

import grpc

from pellucid.errors import PellucidError


@dataclass
class Tries:
    """The tries of one call, within its timeout.

    gRPC itself retries UNAVAILABLE; here RESOURCE_EXHAUSTED is, where the server says
    after how long: without that the request is too large, and stays so.
    """

    attempts: int
    timeout: float | None
    _made: int = 0
    _start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float | None:
        """Seconds left of the timeout; `None` without one."""
        if self.timeout is None:
            return None
        return max(self.timeout - (time.monotonic() - self._start), 0.0)

    def delay_after(self, error: PellucidError) -> float:
        """Seconds to wait before the next try.

        Raises:
            PellucidError: `error`, where there is no next try.
        """
        self._made += 1
        again = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after is not None
        delay = error.retry_after or 0.0
        left = math.inf if self.left is None else self.left
        if not again or self._made >= self.attempts or delay >= left:
            raise error from None
        return delay
