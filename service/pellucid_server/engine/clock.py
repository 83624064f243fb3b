import time
from collections.abc import Iterator

from pellucid_server.engine.explanation import (
    Convergence,
    ExplainAccepted,
    ExplainProgress,
    ExplainRequest,
    SaliencyMap,
)
from pellucid_server.explain import Progress
from pellucid_server.types import Box

FEW = 16
"""Maps that come with the standard error of every pixel: more would cost more than the maps."""


class Clock:
    """Turns a method's progress into events at the intervals that the caller chose."""

    def __init__(
        self, accepted: ExplainAccepted, start: float, request: ExplainRequest, region: Box
    ) -> None:
        self._total = accepted.total
        self._targets = len(accepted.targets)
        self._start = start
        self._region = region
        self._interval = request.progress_interval
        self._map_interval = request.partial_map_interval
        self._last = self._last_maps = start

    def due(self, progress: Progress) -> bool:
        """Whether an event is due; at the end it always is."""
        waited = time.perf_counter() - self._last
        return waited >= self._interval or progress.done >= self._total

    def event(self, progress: Progress) -> ExplainProgress:
        """How far the work is."""
        now = self._last = time.perf_counter()
        elapsed = now - self._start
        rate = progress.done / elapsed
        return ExplainProgress(
            done=progress.done,
            total=self._total,
            elapsed=elapsed,
            remaining=(self._total - progress.done) / rate,
            units_per_second=rate,
            partial_maps=self._maps(progress, now),
            convergence=convergence(progress),
        )

    def _maps(self, progress: Progress, now: float) -> tuple[SaliencyMap, ...]:
        if self._map_interval is None or now - self._last_maps < self._map_interval:
            return ()
        self._last_maps = now
        return tuple(saliency_maps(progress, self._region, self._targets))


def saliency_maps(progress: Progress, region: Box, targets: int) -> Iterator[SaliencyMap]:
    """The maps as they stand, with their standard errors where they are few and known."""
    errors = progress.standard_errors() if targets <= FEW else iter(())
    for values in progress.maps():
        yield SaliencyMap(values, region, next(errors, None))


def convergence(progress: Progress) -> tuple[Convergence, ...]:
    """How well each map is known; empty while that cannot be told."""
    pairs = zip(progress.correlations, progress.spreads, strict=True)
    return tuple(
        Convergence(correlation, spread)
        for correlation, spread in pairs
        if correlation is not None and spread is not None
    )
