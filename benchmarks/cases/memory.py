"""Whether memory grows with the number of masks."""

from dataclasses import dataclass

from benchmarks.frame import Series, benchmark, interleave, ratios
from benchmarks.photos import COFFEE
from benchmarks.server import serving

FEW = 100


@dataclass(frozen=True)
class Size:
    """Pairs of servers, and the masks of the larger explanation."""

    pairs: int
    masks: int


def _peak(masks: int) -> float:
    with serving("--precision=bf16") as server:
        server.explain(COFFEE, num_masks=masks)
        return server.peak_bytes


@benchmark({"rss_n10000_over_n100": "ratio"}, quick=Size(1, 500), full=Size(1, 10_000))
def memory(size: Size) -> Series:
    """The most memory of a fresh server that explains; 500 masks in the quick run."""
    pairs = interleave(size.pairs, lambda: _peak(size.masks), lambda: _peak(FEW))
    return {"rss_n10000_over_n100": ratios(pairs)}
