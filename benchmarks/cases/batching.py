"""Whether a batch of several images pays: if not, nor does making one of several callers' calls."""

from dataclasses import dataclass

from benchmarks.frame import Series, Work, benchmark, interleave, ratios
from benchmarks.server import CLASSIFIER, MODELS
from benchmarks.worker import Worker

STREAMS = 2
BATCH = 4
NAMES = {precision: f"batch_of_4_over_1_{precision}_per_cpu" for precision in ("f32", "bf16")}


@dataclass(frozen=True)
class Size:
    """Pairs, and seconds of each side."""

    pairs: int
    seconds: float


@benchmark(dict.fromkeys(NAMES.values(), "ratio"), quick=Size(2, 0.4), full=Size(7, 4))
def batching(size: Size) -> Series:
    """Images of EfficientNet-Lite0 for each second of processor time, nothing around it."""
    return {name: _gain(precision, size) for precision, name in NAMES.items()}


def _gain(precision: str, size: Size) -> list[float]:
    path = MODELS / CLASSIFIER / "1" / "model.xml"
    with Worker("benchmarks.workers.raw", path, precision, STREAMS) as worker:

        def run(batch: int) -> Work:
            return Work(**worker.ask(batch=batch, seconds=size.seconds))

        run(BATCH), run(1)
        pairs = interleave(size.pairs, lambda: run(BATCH), lambda: run(1))
    return ratios((several.rate_per_cpu, one.rate_per_cpu) for several, one in pairs)
