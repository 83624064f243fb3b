"""A map for each of 1,000 classes, over a map for one."""

from dataclasses import dataclass

from benchmarks.frame import Series, benchmark, interleave, ratios
from benchmarks.photos import COFFEE
from benchmarks.server import serving

MASKS = 512
CLASSES = 1000


@dataclass(frozen=True)
class Size:
    """Pairs of explanations."""

    pairs: int


@benchmark(
    {"all_classes_over_one": "x time", "all_classes_over_one_per_cpu": "x time"},
    quick=Size(1),
    full=Size(5),
)
def all_classes(size: Size) -> Series:
    """Time of the whole call in f32, 100 MB of maps on their way to the caller among it."""
    with serving("--precision=f32") as server:
        server.explain(COFFEE, num_masks=32)
        pairs = interleave(
            size.pairs,
            lambda: server.explain(COFFEE, top_k=CLASSES, num_masks=MASKS),
            lambda: server.explain(COFFEE, num_masks=MASKS),
        )
    return {
        "all_classes_over_one": ratios((many.seconds, one.seconds) for many, one in pairs),
        "all_classes_over_one_per_cpu": ratios((many.cpu, one.cpu) for many, one in pairs),
    }
