"""Callers in a process of their own, who cost the server's machine little: as if they were afar."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.frame import Work
from benchmarks.server import CLASSIFIER, Server
from benchmarks.worker import Worker


@dataclass(frozen=True)
class Latencies:
    """Seconds from when each call was due until its answer: percentiles."""

    p50: float
    p99: float


class Callers:
    """Callers of a server who predict a photo of 30 KB."""

    def __init__(self, stack: ExitStack, target: str, server: Server | None = None) -> None:
        self._server = server
        self._calls = stack.enter_context(Worker("benchmarks.workers.arrivals", target, CLASSIFIER))

    def work(self, callers: int, seconds: float) -> Work:
        """Each calls as soon as its last is answered; answers, and what they took of the server.

        Raises:
            RuntimeError: a call was not answered.
        """
        cpu, start = self._cpu(), time.perf_counter()
        seen = self._ask(callers=callers, seconds=seconds)
        return Work(seen["answered"], time.perf_counter() - start, self._cpu() - cpu)

    def at_rate(self, rate: float, seconds: float) -> Latencies:
        """Calls at fixed times, however long those before take (an open loop); as `work`."""
        seen = self._ask(rate=rate, seconds=seconds)
        return Latencies(seen["p50"], seen["p99"])

    def _ask(self, **question: float) -> dict[str, float]:
        seen = self._calls.ask(**question)
        if seen["failed"] or seen["refused"]:
            raise RuntimeError(f"calls were not answered: {seen}")
        return seen

    def _cpu(self) -> float:
        return self._server.cpu if self._server else 0.0
