"""How soon a server serves."""

import tempfile
import time

from benchmarks.frame import Series, Skipped, benchmark
from benchmarks.photos import small_jpeg
from benchmarks.server import CLASSIFIER, flag_like, serving

CACHE = "cache"


def _start(*flags: str) -> tuple[float, float]:
    """Seconds until health says SERVING, and until the first prediction is answered."""
    with serving(*flags) as server:
        start = time.perf_counter()
        server.client.predict(small_jpeg(), model=CLASSIFIER)
        return server.startup, server.startup + time.perf_counter() - start


@benchmark({"startup_seconds": "s", "first_prediction_seconds": "s"}, quick=1, full=5)
def startup(times: int) -> Series:
    """From the start of the process, with the zoo and no cache of compiled models."""
    started, predicted = zip(*(_start() for _ in range(times)), strict=True)
    return {"startup_seconds": started, "first_prediction_seconds": predicted}


@benchmark({"startup_seconds_warm": "s", "first_prediction_seconds_warm": "s"}, quick=1, full=5)
def warm_startup(times: int) -> Series:
    """The same, where a server before it left a cache of compiled models."""
    flag = flag_like(CACHE)
    if flag is None:
        raise Skipped("the server has no cache of compiled models")
    with tempfile.TemporaryDirectory() as folder:
        _start(f"{flag}={folder}")
        runs = [_start(f"{flag}={folder}") for _ in range(times)]
    started, predicted = zip(*runs, strict=True)
    return {"startup_seconds_warm": started, "first_prediction_seconds_warm": predicted}
