"""Whether predictions of several callers should share inferences: on this CPU, little."""

from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.callers import Callers
from benchmarks.frame import Series, Work, benchmark, interleave, ratios
from benchmarks.server import serving

STREAMS = 2
CALLERS = 16
MOST = 4
NAMES = {precision: f"predict_together_over_alone_{precision}" for precision in ("f32", "bf16")}


@dataclass(frozen=True)
class Size:
    """Pairs, and seconds of each side."""

    pairs: int
    seconds: float


@benchmark(
    dict.fromkeys(NAMES.values(), "ratio"),
    full=Size(7, 4),
    note="four servers take a tenth of the quick run's time",
)
def batching(size: Size) -> Series:
    """Predictions a second of EfficientNet-Lite0, from more callers than the server has streams."""
    return {name: _gain(precision, size) for precision, name in NAMES.items()}


def _gain(precision: str, size: Size) -> list[float]:
    flags = (f"--precision={precision}", f"--streams={STREAMS}")
    with ExitStack() as stack:
        together, alone = (
            Callers(stack, stack.enter_context(serving(*flags, f"--predict-batch={most}")).target)
            for most in (MOST, 1)
        )

        def run(callers: Callers) -> Work:
            return callers.work(CALLERS, size.seconds)

        run(together), run(alone)
        pairs = interleave(size.pairs, lambda: run(together), lambda: run(alone))
    return ratios((several.rate, one.rate) for several, one in pairs)
