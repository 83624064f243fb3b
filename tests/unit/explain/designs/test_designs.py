"""What every design promises."""

import numpy as np
import pytest

from pellucid_server.explain.designs import BLOCK, DESIGNS
from pellucid_server.explain.masks import MaskBlock, MaskTables
from pellucid_server.types import Size


@pytest.fixture(params=DESIGNS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def joined(name: str, count: int, seed: int, prob: float = 0.5) -> MaskBlock:
    return MaskBlock.join(list(DESIGNS[name](5, (7, 10), prob, seed).blocks(count)))


def test_mask_depends_on_seed_and_index_alone(name: str) -> None:
    """However many masks are asked for, mask i is the same; another seed gives others."""
    few, many, other = joined(name, BLOCK + 5, 7), joined(name, 640, 7), joined(name, 640, 8)
    assert len(few) == BLOCK + 5
    assert np.array_equal(few.grids, many.grids[: len(few)])
    assert np.array_equal(few.shifts, many.shifts[: len(few)])
    assert np.mean(many.grids == other.grids) < 0.6
    assert len({grid.tobytes() for grid in many.grids}) > 600


def test_a_block_in_the_middle_needs_none_before_it(name: str) -> None:
    """The same block from a fresh design, first of all asked for, is equal."""
    design = DESIGNS[name](6, (8, 8), 0.5, 3)
    blocks = list(design.blocks(20 * BLOCK))
    alone = DESIGNS[name](6, (8, 8), 0.5, 3).block(13 * BLOCK)
    assert alone.start == 13 * BLOCK
    assert np.array_equal(alone.grids, blocks[13].grids)
    assert np.array_equal(alone.shifts, blocks[13].shifts)


def test_each_mask_alone_is_distributed_as_in_the_paper(name: str) -> None:
    """Over 4,000 seeds cells, products of two cells, and shifts have the paper's means.

    To five standard errors, for the first mask, one in the middle and one of the next stratum.
    """
    seeds = 4000
    for index in (0, 21, 77):
        grids, shifts = [], []
        for seed in range(seeds):
            block = DESIGNS[name](3, (4, 6), 0.5, seed).block(index // BLOCK * BLOCK)
            grids.append(block.grids[index % BLOCK].ravel())
            shifts.append(block.shifts[index % BLOCK])
        cells = np.asarray(grids, float)
        pairs = (cells.T @ cells / seeds)[np.triu_indices(9, 1)]
        assert np.abs(cells.mean(0) - 0.5).max() < 5 * 0.5 / seeds**0.5
        assert np.abs(pairs - 0.25).max() < 5 * 0.1875**0.5 / seeds**0.5
        for axis, count in enumerate((4, 6)):
            share = np.bincount(np.asarray(shifts)[:, axis], minlength=count) / seeds
            assert len(share) == count
            assert np.abs(share - 1 / count).max() < 5 * 0.5 / seeds**0.5


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.9])
def test_share_of_visible_pixels_is_prob(prob: float) -> None:
    """Over 2,048 masks every pixel is visible with `prob`, to five standard errors."""
    tables = MaskTables.of(Size(32, 32), 4)
    blocks = DESIGNS["centred"](4, tables.shifts, prob, 11).blocks(2048)
    mean = np.concatenate([block.render(tables) for block in blocks]).mean(0)
    assert np.abs(mean - prob).max() < 5 * np.sqrt(prob * (1 - prob) / 2048)
