"""Callers in a process of their own, who cost the server's machine little: as if they were afar."""

import time
from contextlib import ExitStack

from benchmarks.frame import Work
from benchmarks.server import CLASSIFIER, Server
from benchmarks.worker import Worker


class Callers:
    """Callers of a server who predict a photo of 30 KB, each as soon as its last is answered."""

    def __init__(self, stack: ExitStack, target: str, server: Server | None = None) -> None:
        self._server = server
        self._calls = stack.enter_context(Worker("benchmarks.workers.arrivals", target, CLASSIFIER))

    def work(self, callers: int, seconds: float) -> Work:
        """Answers, and what they took of the server.

        Raises:
            RuntimeError: a call was not answered.
        """
        cpu, start = self._cpu(), time.perf_counter()
        seen = self._calls.ask(callers=callers, seconds=seconds)
        if seen["failed"] or seen["refused"]:
            raise RuntimeError(f"calls were not answered: {seen}")
        return Work(seen["answered"], time.perf_counter() - start, self._cpu() - cpu)

    def _cpu(self) -> float:
        return self._server.cpu if self._server else 0.0
