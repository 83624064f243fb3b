from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pellucid_server.runtime.scheduling.policy import Classes, Priority
from pellucid_server.runtime.scheduling.shares import Charges

U = TypeVar("U")


@dataclass(frozen=True, eq=False, slots=True)
class Entry(Generic[U]):
    """A unit and what was said of it when it was submitted."""

    unit: U
    order: int
    """Its number: submitted later, larger."""
    priority: Priority
    tenant: str
    job: Hashable
    cost: float
    deadline: float
    submitted: float
    steps: int = 1
    """Turns that it takes: between them other classes may go first."""

    @property
    def turn(self) -> float:
        """The cost of one turn."""
        return self.cost / self.steps


@dataclass(frozen=True, eq=False, slots=True)
class Taken(Generic[U]):
    """A unit that goes to a device: it ends with `Scheduler.done` or `Scheduler.give_back`."""

    entry: Entry[U]
    waited: float
    """Seconds since it was submitted."""
    classes: Classes
    """Those that it was taken among."""
    charges: Charges

    @property
    def unit(self) -> U:
        return self.entry.unit
