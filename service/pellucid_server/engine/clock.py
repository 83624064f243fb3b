import time

from pellucid_server.engine.explanation import ExplainProgress, ExplainRequest, SaliencyMap
from pellucid_server.explain import Progress
from pellucid_server.types import Box


class Clock:
    """Turns a method's progress into events at the intervals that the caller chose."""

    def __init__(self, total: int, start: float, request: ExplainRequest) -> None:
        self._total = total
        self._start = start
        self._interval = request.progress_interval
        self._map_interval = request.partial_map_interval
        self._last = self._last_maps = start

    def event(self, progress: Progress, region: Box) -> ExplainProgress | None:
        """The event that is due; the last one always is."""
        now = time.perf_counter()
        finished = progress.done >= self._total
        if now - self._last < self._interval and not finished:
            return None
        self._last = now
        elapsed = now - self._start
        rate = progress.done / elapsed
        return ExplainProgress(
            done=progress.done,
            total=self._total,
            elapsed=elapsed,
            remaining=(self._total - progress.done) / rate,
            units_per_second=rate,
            partial_maps=self._maps(progress, region, now),
        )

    def _maps(self, progress: Progress, region: Box, now: float) -> tuple[SaliencyMap, ...]:
        if self._map_interval is None or now - self._last_maps < self._map_interval:
            return ()
        self._last_maps = now
        return tuple(SaliencyMap(values, region) for values in progress.maps())
