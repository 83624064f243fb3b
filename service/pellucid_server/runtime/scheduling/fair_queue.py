from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic

from pellucid_server.runtime.scheduling.entry import Entry, U
from pellucid_server.runtime.scheduling.flow import Flow
from pellucid_server.runtime.scheduling.policy import Policy
from pellucid_server.runtime.scheduling.tag_heap import TagHeap


@dataclass(eq=False)
class _Tenant(Generic[U]):
    weight: float
    tag: float
    """Start tag of the next unit, which is the finish tag of the one before."""
    flow: Flow[U] = field(default_factory=Flow)


class FairQueue(Generic[U]):
    """The waiting units of one class, shared between tenants by weight.

    Start-time Fair Queueing: Goyal, Vin, Cheng, SIGCOMM 1996, section 2. A unit's start tag is
    S = max(v, F), with v the virtual time and F the finish tag S + cost / weight of the tenant's
    unit before it; the smallest start tag goes first and becomes v. Over any span in which two
    tenants wait, their work divided by their weights differs by at most the sum of their largest
    cost / weight (theorem 1), however the speed of the devices varies.

    A tenant is forgotten once v has reached its finish tag, for then S = v whatever it did before.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tenants: dict[str, _Tenant[U]] = {}
        self._waiting: TagHeap[str] = TagHeap()
        self._idle: TagHeap[str] = TagHeap()
        self._virtual = 0.0
        self._in_service = 0
        self._weight = 0.0
        self._size = 0
        self.cost = 0.0

    def __len__(self) -> int:
        return self._size

    def waiting_of(self, tenant: str) -> int:
        return len(self._tenants[tenant].flow) if tenant in self._tenants else 0

    def add(self, entry: Entry[U]) -> None:
        tenant = self._wake(entry.tenant)
        tenant.flow.add(entry)
        self._count(1, entry.cost)

    def head(self) -> Entry[U] | None:
        """The unit that is next."""
        first = self._waiting.first()
        return self._tenants[first[1]].flow.head() if first else None

    def pop(self) -> Entry[U]:
        """Takes the unit that is next and charges its tenant.

        Raises:
            IndexError: none waits.
        """
        first = self._waiting.first()
        if not first:
            raise IndexError("nothing waits")
        tag, name = first
        tenant = self._tenants[name]
        entry = tenant.flow.pop()
        self._count(-1, -entry.cost)
        self._in_service += 1
        self._virtual = max(self._virtual, tag)
        tenant.tag += entry.cost / tenant.weight
        self._place(name)
        self._forget()
        return entry

    def give_back(self, entry: Entry[U]) -> None:
        """Undoes a `pop`: the unit goes to the front, its tenant is not charged."""
        tenant = self._wake(entry.tenant)
        tenant.flow.give_back(entry)
        self._count(1, entry.cost)
        self._in_service -= 1
        tenant.tag -= entry.cost / tenant.weight
        self._place(entry.tenant)

    def end(self) -> None:
        """A unit that was taken is done."""
        self._in_service -= 1
        self._rest()

    def remove(self, entry: Entry[U]) -> None:
        """Removes a waiting unit, which costs nothing."""
        tenant = self._tenants[entry.tenant]
        tenant.flow.remove(entry)
        self._count(-1, -entry.cost)
        if not tenant.flow:
            self._place(entry.tenant)
            self._forget()
            self._rest()

    def ahead(self, name: str, job: Hashable) -> float:
        """The work that would go before one more unit of a tenant's job: an estimate."""
        if not self._size:
            return 0.0
        tenant = self._tenants.get(name)
        waits = tenant is not None and bool(tenant.flow)
        own = tenant.flow.ahead(job) if tenant else 0.0
        weight = self._policy.weight(name)
        rivals = (self._weight - waits * weight) / weight
        first_round = (len(self._waiting) - waits) / 2 * self.cost / self._size
        return min(self.cost, own * (1 + rivals) + first_round)

    def _wake(self, name: str) -> _Tenant[U]:
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = _Tenant(self._policy.weight(name), self._virtual)
            self._tenants[name] = tenant
        if not tenant.flow:
            self._idle.discard(name)
            self._waiting.put(name, tenant.tag)
            self._weight += tenant.weight
        return tenant

    def _place(self, name: str) -> None:
        """Files a tenant whose tag or units changed among those that wait or do not."""
        tenant = self._tenants[name]
        if tenant.flow:
            self._waiting.put(name, tenant.tag)
            return
        self._waiting.discard(name)
        self._idle.put(name, tenant.tag)
        self._weight = self._weight - tenant.weight if len(self._waiting) else 0.0

    def _forget(self) -> None:
        while idle := self._idle.first():
            tag, name = idle
            if tag > self._virtual and len(self._idle) <= self._policy.remembered_tenants:
                return
            # Callers choose the names. Time that steps on to the tag of a tenant forgotten early
            # keeps floods of new names from going before those who wait.
            self._virtual = max(self._virtual, tag)
            self._idle.discard(name)
            del self._tenants[name]

    def _rest(self) -> None:
        """Ends a busy period: the next begins with nobody in debt."""
        if not self._in_service and not self._size:
            self._tenants.clear()
            self._idle.clear()
            self._virtual = 0.0

    def _count(self, units: int, cost: float) -> None:
        self._size += units
        self.cost = self.cost + cost if self._size else 0.0
