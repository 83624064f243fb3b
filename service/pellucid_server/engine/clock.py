import time

from pellucid_server.engine.explanation import (
    Convergence,
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

    def __init__(self, total: int, start: float, request: ExplainRequest, region: Box) -> None:
        self._total = total
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
        return saliency_maps(progress, self._region)


def saliency_maps(progress: Progress, region: Box) -> tuple[SaliencyMap, ...]:
    """The maps as they stand, with their standard errors where they are few and known."""
    maps = progress.maps()
    errors = progress.standard_errors() if len(maps) <= FEW else None
    return tuple(
        SaliencyMap(values, region, None if errors is None else errors[index])
        for index, values in enumerate(maps)
    )


def convergence(progress: Progress) -> tuple[Convergence, ...]:
    """How well each map is known; empty while that cannot be told."""
    pairs = zip(progress.correlations, progress.spreads, strict=True)
    return tuple(
        Convergence(correlation, spread)
        for correlation, spread in pairs
        if correlation is not None and spread is not None
    )
