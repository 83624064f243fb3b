"""Which calls may run, beside those that do: known before a call's message is read."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from pellucid_server.call import Call
from pellucid_server.config import Limits
from pellucid_server.errors import Overloaded
from pellucid_server.rpc.rates import Rates
from pellucid_server.telemetry.metrics import Metrics

RETRY_AFTER = 1.0
"""Seconds after which a call may try again that others left no room for."""
PROBES = frozenset(
    f"inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady")
)
"""Always let in: a busy server that answered them with an error would be taken for a sick one."""

Room = Callable[[Call], None]
"""Raises Overloaded where a call of its kind would wait too long."""


class Admission:
    """Counts the calls that run, and those of each tenant, and keeps to the limits."""

    def __init__(
        self, limits: Limits, metrics: Metrics, rooms: Mapping[str, Room] | None = None
    ) -> None:
        self._limits = limits
        self._rooms = rooms or {}
        own = (each.split("=") for each in limits.tenant_rates)
        self._own = {name: float(rate) for name, rate in own}
        self._rates = Rates(limits.tenant_rate, limits.tenant_burst, self._own)
        self._lock = threading.Lock()
        self._calls = self._streams = 0
        self._of_tenant: Counter[str] = Counter()
        for setting, value in limits.model_dump().items():
            if isinstance(value, int | float):
                metrics.limits.labels(f"limits.{setting}").set(value)

    def enter(self, method: str, call: Call, *, stream: bool) -> None:
        """Lets a call run, if there is room; whoever was let in leaves.

        Raises:
            Overloaded: there is none, or the tenant has had its part.
        """
        if method in PROBES:
            return
        if room := self._rooms.get(method):
            room(call)
        with self._lock:
            self._check(call.tenant, stream=stream)
            self._take(call.tenant)
            self._count(call.tenant, 1, stream=stream)

    def leave(self, method: str, call: Call, *, stream: bool) -> None:
        """A call that was let in has ended."""
        if method not in PROBES:
            with self._lock:
                self._count(call.tenant, -1, stream=stream)

    def charge(self, call: Call) -> None:
        """Counts a request of a stream as a call of its tenant.

        Raises:
            Overloaded: the tenant is beyond its rate.
        """
        with self._lock:
            self._take(call.tenant)

    def _check(self, tenant: str, *, stream: bool) -> None:
        limits = self._limits
        if self._calls >= limits.concurrent_calls:
            raise _refusal("calls at once", "concurrent_calls", limits.concurrent_calls)
        if stream and self._streams >= limits.concurrent_streams:
            raise _refusal("streams at once", "concurrent_streams", limits.concurrent_streams)
        if limits.tenant_calls and self._of_tenant[tenant] >= limits.tenant_calls:
            raise _refusal("calls of this tenant at once", "tenant_calls", limits.tenant_calls)

    def _take(self, tenant: str) -> None:
        if wait := self._rates.take(tenant, time.monotonic()):
            setting = "tenant_rates" if tenant in self._own else "tenant_rate"
            raise Overloaded(
                f"more than {self._rates.rate(tenant):g} calls of this tenant in a second (setting "
                f"`limits.{setting}`): try again in {wait:.2f} s",
                retry_after=wait,
                reason="tenant_rate",
            )

    def _count(self, tenant: str, change: int, *, stream: bool) -> None:
        self._calls += change
        self._streams += change * stream
        self._of_tenant[tenant] += change
        if not self._of_tenant[tenant]:  # names come from callers: none stays
            del self._of_tenant[tenant]


def _refusal(what: str, setting: str, limit: int) -> Overloaded:
    return Overloaded(
        f"{limit} {what} is the limit (setting `limits.{setting}`): try again in {RETRY_AFTER:g} s",
        retry_after=RETRY_AFTER,
        reason=setting,
    )
