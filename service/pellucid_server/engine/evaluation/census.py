import threading
from dataclasses import dataclass

import structlog

from pellucid_server.errors import PellucidError
from pellucid_server.evaluate.store import Store
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()

INTERVAL = 15.0
"""Seconds between looks: as often as Prometheus commonly scrapes."""


@dataclass(frozen=True)
class Census:
    """Tells the metrics what waits in the store: a scrape itself must not wait for a database."""

    store: Store
    metrics: Metrics
    interval: float = INTERVAL

    def run(self, ending: threading.Event) -> None:
        """Looks now and then, until the end."""
        while not ending.is_set():
            try:
                self.look()
            except PellucidError:  # told by the counter, and by those who wait for the store
                self.metrics.store_failures.inc()
            except Exception:
                log.exception("evaluations are not counted")
            ending.wait(self.interval)

    def look(self) -> None:
        """Counts once; raises PellucidError where the store does not answer."""
        count, oldest = self.store.waiting()
        self.metrics.evaluations_waiting.set(count)
        self.metrics.evaluations_waited.set(oldest)
