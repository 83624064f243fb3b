"""How long what broke off is taken up again."""

import time
from dataclasses import dataclass, field

from pellucid.errors import CancelledError, PellucidError, UnavailableError

SECONDS = 60.0
"""Without any news: time for a server to be started anew."""
FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0


@dataclass
class Patience:
    """The tries of what can go on where it broke off; news renew it."""

    enabled: bool
    _last_news: float = field(default_factory=time.monotonic)
    _tries: int = 0

    def renew(self) -> None:
        """Something came."""
        self._last_news = time.monotonic()
        self._tries = 0

    def delay_after(self, error: PellucidError) -> float:
        """Seconds to wait before the next try.

        Raises:
            PellucidError: `error`, where there is no next try.
        """
        again = isinstance(error, UnavailableError | CancelledError) or error.retry_after
        if not self.enabled or not again or time.monotonic() - self._last_news > SECONDS:
            raise error from None
        delay = min(FIRST_DELAY * 2**self._tries, LONGEST_DELAY)
        self._tries += 1
        return error.retry_after or delay
