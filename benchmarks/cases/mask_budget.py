"""Masks for the same map: plain RISE's over those of the default design.

Nothing is measured here: `benchmarks/mask_designs.py` does so in an hour, and writes its page.
"""

import re
from collections.abc import Iterator

from benchmarks.frame import Series, Skipped, benchmark, ratios
from benchmarks.server import ROOT

PAGE = ROOT / "docs" / "mask-designs.md"
PLAIN, DEFAULT = "centred", "hadamard"
BEYOND, MOST = "more", 4096
"""What the page writes where the masks tried were too few, and how many those are at most."""
NAME = "masks_to_r95_plain_centred_over_default"


@benchmark({NAME: "ratio"}, full=None)
def mask_budget(_: None) -> Series:
    """Of each photo of the page, for a correlation of 0.95 with the limit of many masks."""
    if not PAGE.exists():
        raise Skipped("benchmarks/mask_designs.py has not written docs/mask-designs.md")
    counts = list(masks(PAGE.read_text()))
    if not counts:
        raise Skipped("docs/mask-designs.md has no table of photos yet")
    return {NAME: ratios(counts)}


def masks(page: str) -> Iterator[tuple[float, float]]:
    """For each photo: masks of plain RISE with centred scores, and of the default design.

    Where 4,096 plain masks were too few, 4,096 stand for them: the ratio is then a lower bound.
    """
    found = re.search(r"<!-- photos -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    rows = [_cells(line) for line in found[1].splitlines()] if found else []
    for row in rows[2:]:
        named = dict(zip(rows[0], row, strict=True))
        if named[DEFAULT] != BEYOND:
            yield _count(named[PLAIN]), _count(named[DEFAULT])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _count(text: str) -> float:
    return MOST if text == BEYOND else float(text.replace(",", ""))
