from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""


class Lookup(Collector):
    """A gauge that is looked up at each scrape, of what is known elsewhere already.

    It has no values before `of`, and none where looking up raises OSError or ValueError.
    """

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        self._name, self._meaning, self._labels = name, meaning, labels
        self._values: Callable[[], Values] = dict
        registry.register(self)

    def of(self, values: Callable[[], Values]) -> None:
        """Says where to look; it is called from the thread of a scrape, and must not wait."""
        self._values = values

    def of_one(self, value: Callable[[], float]) -> None:
        """As `of`, of a gauge without labels."""
        self.of(lambda: {(): value()})

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Its name, without a look."""
        return [self._family()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Its values now."""
        family = self._family()
        with suppress(OSError, ValueError):
            for labels, value in self._values().items():
                family.add_metric(labels, value)
        return [family]

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._meaning, labels=self._labels)
