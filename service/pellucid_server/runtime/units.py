"""Units of work for a device, and what they cost."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from pellucid_server.call import Call
from pellucid_server.runtime.device import Device
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.variants import Variant
from pellucid_server.types import Feeds, Outputs

GUESS, SHORTEST = 0.01, 1e-6
"""Seconds that an image is taken to need before one of its kind ran, and the least it costs."""
MEMORY = 16
"""Units over which their seconds are averaged."""


Kind = tuple[Variant, Priority]
"""Classes may run at speeds of their own: see `lanes`."""


@dataclass(frozen=True)
class Inference:
    """The outputs of one inference, and where its time went, in seconds."""

    outputs: Outputs
    queue: float
    compute: float
    images: int = 1
    """That it was of: others' may have been computed beside."""

    @property
    def share(self) -> float:
        """Seconds of the device for one of them."""
        return self.compute / self.images


class Pace:
    """Seconds that an image of a kind took lately."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0
        """0 before one ran."""

    def observe(self, latest: float) -> None:
        """Notes what an image took."""
        before = self.seconds or latest
        self.seconds = max(before + (latest - before) / MEMORY, SHORTEST)


@dataclass(eq=False)
class Unit:
    """One inference: what runs, for whom, and who waits for it."""

    model: ServedModel
    variant: Variant
    feeds: Feeds
    call: Call
    priority: Priority
    images: int = 1
    """Images or masks in it."""
    series: Feeds = field(default_factory=dict)
    """Feeds that change, with an entry for each of several inferences; none: there is one."""
    arrival: float = field(default_factory=time.monotonic)
    future: "Future[Inference]" = field(default_factory=Future)
    failed_on: set[Device] = field(default_factory=set)
    joins: bool = False
    """Whether it may run together with others; then it rounds otherwise."""
    pace: Pace = field(default_factory=Pace)
    """Of its kind; whoever queues it looks it up."""

    @property
    def cost(self) -> float:
        """Seconds that it will take, by the ones before it."""
        return (self.pace.seconds or GUESS) * self.images

    @property
    def steps(self) -> int:
        """Inferences in it."""
        return len(next(iter(self.series.values()))) if self.series else 1


class Costs:
    """How long images of each kind take: what tenants are charged."""

    def __init__(self) -> None:
        self._paces: WeakKeyDictionary[ServedModel, dict[Kind, Pace]] = WeakKeyDictionary()

    def pace(self, unit: Unit) -> Pace:
        """Of a unit's kind."""
        kinds, kind = self._paces.get(unit.model), (unit.variant, unit.priority)
        if kinds is None:
            kinds = self._paces.setdefault(unit.model, {})
        return kinds.get(kind) or kinds.setdefault(kind, Pace())

    def of_kind(self, model: ServedModel, kind: type[Variant]) -> float:
        """Seconds of an image of this kind; 0 before one ran."""
        known = tuple(self._paces.get(model, {}).items())
        found = (each.seconds for (form, _), each in known if isinstance(form, kind))
        return max(found, default=0.0)
