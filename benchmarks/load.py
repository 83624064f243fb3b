"""Threads that call: one that explains without end, several that do one thing over and over."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import pellucid
from benchmarks.frame import Work
from benchmarks.server import CLASSIFIER, Server

ENDLESS = 100_000
TICK = 0.01


def together(call: Callable[[], object], callers: int, seconds: float) -> int:
    """Calls from several callers, each as soon as its last is answered; how many were done."""
    end = time.perf_counter() + seconds

    def loop(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            call()
            done += 1
        return done

    with ThreadPoolExecutor(callers) as pool:
        return sum(pool.map(loop, range(callers)))


class Explaining:
    """Explains one photo over and over while it is entered, and counts masks."""

    def __init__(self, server: Server, photo: Path) -> None:
        self._server = server
        self._photo = photo
        self._seen: list[Work] = []
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def work(self) -> Work:
        """Masks from the first to the last sign of progress; all that the server did is its cpu."""
        first, last = self._seen[0], self._seen[-1]
        masks = sum(seen.units for seen in self._seen[1:])
        return Work(masks, last.seconds - first.seconds, last.cpu - first.cpu)

    def __enter__(self) -> Self:
        self._running = self._thread.submit(self._run)
        while not self._seen and not self._running.done():
            time.sleep(TICK)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.shutdown()
        self._running.result()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._explain()

    def _explain(self) -> None:
        done = 0
        with self._server.client.explain(
            self._photo, model=CLASSIFIER, num_masks=ENDLESS, progress_interval=0.1
        ) as stream:
            for event in stream:
                if self._stop.is_set():
                    return
                if isinstance(event, pellucid.Progress):
                    now = time.perf_counter()
                    self._seen.append(Work(event.done - done, now, self._server.cpu))
                    done = event.done
