import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType


class Priority(IntEnum):
    """Classes of work; a smaller one goes first."""

    INTERACTIVE = 0
    EXPLAIN = 1
    BULK = 2


Classes = tuple[Priority, ...]
ALL: Classes = tuple(Priority)

QUEUE_LIMITS = MappingProxyType(
    {Priority.INTERACTIVE: 1024, Priority.EXPLAIN: 16_384, Priority.BULK: 16_384}
)
SHARES = MappingProxyType({Priority.EXPLAIN: 1 / 20, Priority.BULK: 1 / 20})
"""A flood of higher work loses a tenth at most, and nothing where it leaves pauses; 300 masks at
200 inferences a second still end within 30 seconds of such a flood."""


@dataclass(frozen=True)
class Policy:
    """Who may wait, and who goes first."""

    queue_limits: Mapping[Priority, int] = field(default_factory=lambda: QUEUE_LIMITS)
    """Most units that wait, for each class."""
    shares: Mapping[Priority, float] = field(default_factory=lambda: SHARES)
    """Work that a waiting class gets for each unit of higher work that passes it; 0: it may
    starve."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Parts of a class's work, by tenant; others have `default_weight`."""
    default_weight: float = 1.0
    places_per_free: float = 8.0
    """Units that one tenant may have waiting for each place that is free, so that nobody fills a
    queue to the brim; infinite: a tenant may fill it all."""
    remembered_tenants: int = 256
    """Most tenants without waiting units whose recent use is remembered."""

    def __post_init__(self) -> None:
        if missing := [each.name for each in Priority if self.queue_limits.get(each, 0) < 1]:
            raise ValueError(f"a queue limit of at least 1 is needed for {', '.join(missing)}")
        if bad := [str(share) for share in self.shares.values() if not 0 <= share < 1]:
            raise ValueError(f"a share lies in 0 (none) to below 1, not {bad[0]}")
        for tenant, weight in [*self.weights.items(), ("others", self.default_weight)]:
            if not 0 < weight < math.inf:
                raise ValueError(f"the weight of {tenant} must be above 0 and finite, not {weight}")
        if not self.places_per_free > 0:
            raise ValueError(f"places_per_free must be above 0, not {self.places_per_free}")
        if self.remembered_tenants < 0:
            raise ValueError(f"remembered_tenants must not be below 0: {self.remembered_tenants}")

    def weight(self, tenant: str) -> float:
        """The part of a tenant, relative to others'."""
        return self.weights.get(tenant, self.default_weight)
