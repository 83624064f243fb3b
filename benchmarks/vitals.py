"""What a process holds: memory, threads, files."""

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Vitals:
    """At one time, on `time.monotonic`'s clock."""

    time: float
    rss: int
    """Bytes in memory."""
    threads: int
    files: int
    """Open files, sockets among them."""


def vitals(pid: int) -> Vitals:
    """Of a process, now."""
    status = Path(f"/proc/{pid}/status").read_text()
    rss, threads = (
        int(found[1])
        for name in ("VmRSS", "Threads")
        if (found := re.search(rf"{name}:\s+(\d+)", status))
    )
    files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # names are enough
    return Vitals(time.monotonic(), rss * 1024, threads, files)


def growth(seen: Sequence[Vitals], window: float) -> dict[str, float]:
    """The last `window` seconds over the first: the median of memory, the least of what is counted.

    Threads and files come and go with each evaluation and connection; what leaks never goes.
    """
    first = [each for each in seen if each.time <= seen[0].time + window]
    last = [each for each in seen if each.time >= seen[-1].time - window]

    def over(of: Callable[[Sequence[Vitals]], float]) -> float:
        return of(last) / of(first)

    return {
        "rss": over(lambda each: median(one.rss for one in each)),
        "threads": over(lambda each: min(one.threads for one in each)),
        "files": over(lambda each: min(one.files for one in each)),
    }


@dataclass
class Watch:
    """Looks at a process again and again while it is entered."""

    pid: int
    interval: float
    seen: list[Vitals] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(self.interval):
            self.seen.append(vitals(self.pid))
