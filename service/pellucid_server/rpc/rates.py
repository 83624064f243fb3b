"""How often each tenant may call: a token bucket for each, in one number."""

from collections import OrderedDict
from collections.abc import Mapping

REMEMBERED = 4096
"""Tenants whose recent calls are remembered; names come from callers, and cost memory."""
STRANGERS = "\0"
"""No tenant's name: whom there is no more room to remember share one bucket."""


class Rates:
    """Calls a second, with a burst; not safe for threads.

    A bucket is the time at which it is full again (the virtual scheduling form of the generic cell
    rate algorithm, ITU-T I.371): it is full in the past, and forgotten then. Names without end take
    no more memory than `remembered` ones, and no more calls than those and one more tenant.
    """

    def __init__(
        self,
        rate: float | None = None,
        burst: int | None = None,
        own: Mapping[str, float] | None = None,
        *,
        remembered: int = REMEMBERED,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._own = own or {}
        self._remembered = remembered
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def rate(self, tenant: str) -> float | None:
        """Calls of a tenant in a second; None: any number."""
        return self._own.get(tenant, self._rate)

    def take(self, tenant: str, now: float) -> float:
        """Takes a call from a tenant's bucket; 0, or the seconds until there is one in it."""
        rate = self.rate(tenant)
        if rate is None:
            return 0.0
        name = self._name(tenant, now)
        step = 1 / rate
        full = max(self._full.get(name, now), now) + step
        wait = full - now - step * (self._burst or max(rate, 1.0))
        if wait > step * 1e-6:  # rounding
            return wait
        self._full[name] = full
        self._full.move_to_end(name)
        return 0.0

    def _name(self, tenant: str, now: float) -> str:
        if tenant in self._full or tenant in self._own:
            return tenant
        while self._full and next(iter(self._full.values())) <= now:
            self._full.popitem(last=False)
        return tenant if len(self._full) < self._remembered else STRANGERS
