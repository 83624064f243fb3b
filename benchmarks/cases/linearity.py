"""Whether the masks of a long explanation cost what those of a short one do."""

from dataclasses import dataclass

from benchmarks.frame import Series, benchmark, interleave, ratios
from benchmarks.photos import COFFEE
from benchmarks.server import serving

FEW = 250


@dataclass(frozen=True)
class Size:
    """Pairs of explanations, and the masks of the larger one."""

    pairs: int
    masks: int


@benchmark({"cpu_per_mask_n10000_over_n250": "x time"}, quick=Size(1, 500), full=Size(1, 10_000))
def linearity(size: Size) -> Series:
    """Processor time of a mask: 1, where the work does not grow with what was done before.

    500 masks in the quick run.
    """
    with serving("--precision=bf16") as server:
        server.explain(COFFEE, num_masks=32)
        pairs = interleave(
            size.pairs,
            lambda: server.explain(COFFEE, num_masks=size.masks),
            lambda: server.explain(COFFEE, num_masks=FEW),
        )
    return {
        "cpu_per_mask_n10000_over_n250": ratios(
            (few.rate_per_cpu, many.rate_per_cpu) for many, few in pairs
        )
    }
