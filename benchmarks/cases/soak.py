"""Whether a server that is used for long holds more than one that was used for a while.

`python -m benchmarks.cases.soak --seconds 1800` runs it alone and tells how it goes.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.frame import Series, benchmark
from benchmarks.mixed import Traffic, traffic
from benchmarks.vitals import Vitals, Watch, growth

NAMES = {
    "rss": "soak_rss_end_over_start",
    "threads": "soak_threads_end_over_start",
    "files": "soak_files_end_over_start",
}


TOLERABLE = 0.01
"""Share of the calls that may fail: on a shared machine some are refused, or take too long."""


@dataclass(frozen=True)
class Size:
    """Seconds: all together, not looked at in the beginning, of the two ends that are compared."""

    seconds: float
    warm_up: float
    window: float

    @classmethod
    def of(cls, seconds: float) -> "Size":
        """A sixth to warm up, a sixth for each end."""
        return cls(seconds, seconds / 6, seconds / 6)


@benchmark(dict.fromkeys(NAMES.values(), "ratio"), quick=Size(2, 0.5, 1), full=Size(1800, 240, 240))
def soak(size: Size) -> Series:
    """Mixed calls from a few callers, every call once before; the end over the beginning."""
    seen, _ = soaked(size)
    return {NAMES[name]: [value] for name, value in growth(seen, size.window).items()}


def soaked(size: Size) -> tuple[Sequence[Vitals], Traffic]:
    """What the server held after it was warm, and the calls that were made.

    Raises:
        RuntimeError: too many of them failed.
    """
    with traffic() as callers:
        callers.once()
        with Watch(callers.mixture.server.pid, interval=min(1, size.window / 8)) as watch:
            start = time.monotonic()
            callers.run(size.seconds)
    if callers.failed.total() > TOLERABLE * callers.done.total():
        raise RuntimeError(f"calls failed: {callers.failed}")
    return [each for each in watch.seen if each.time >= start + size.warm_up], callers


def main() -> None:
    """Runs it and prints the figures, the calls, and what was held twenty times on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    size = Size.of(parser.parse_args().seconds)
    seen, callers = soaked(size)
    shown = seen[:: max(len(seen) // 20, 1)]
    way = [
        f"{each.time - seen[0].time:.0f} s: {each.rss / 2**20:.0f} MiB, {each.threads} threads, "
        f"{each.files} files"
        for each in shown
    ]
    figures = {NAMES[name]: value for name, value in growth(seen, size.window).items()}
    print(
        json.dumps(
            {**figures, "calls": callers.done, "failed": callers.failed, "held": way}, indent=1
        )
    )


if __name__ == "__main__":
    main()
