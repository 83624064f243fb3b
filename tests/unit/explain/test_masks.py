import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.explain.designs import BLOCK, DESIGNS
from pellucid_server.explain.designs.plain import Plain
from pellucid_server.explain.masks import LATTICE, MaskBlock, MaskTables, upsampling
from pellucid_server.types import Size

OPENCV = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST_EXACT}


@pytest.mark.parametrize("interpolation", OPENCV)
def test_upsampling_is_that_of_opencv(interpolation: str) -> None:
    """Two products with the matrix equal cv2.resize to 1e-5, cubic and nearest too."""
    grid = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    matrix = upsampling(7, 256, interpolation)
    expected = cv2.resize(grid, (256, 256), interpolation=OPENCV[interpolation])
    assert np.abs(matrix @ grid @ matrix.T - expected).max() < 1e-5


@given(
    cells=st.integers(1, 12),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 2**63 - 1),
    interpolation=st.sampled_from(list(OPENCV)),
    design=st.sampled_from(list(DESIGNS)),
)
def test_masks_fit_any_input(
    cells: int, height: int, width: int, seed: int, interpolation: str, design: str
) -> None:
    """Every size and aspect, smaller than the grid too, gives masks of it in [0, 1]."""
    tables = MaskTables.of(Size(height, width), cells, interpolation)
    (block,) = DESIGNS[design](cells, tables.shifts, 0.5, seed).blocks(3)
    masks = block.render(tables)
    assert masks.shape == (3, height, width)
    assert masks.dtype == np.float32
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6


def test_masks_are_the_papers_on_non_square_images() -> None:
    """Each mask is some crop of an OpenCV-upsampled grid, with a cell of its own per axis."""
    tables = MaskTables.of(Size(240, 320), 7)
    assert tables.shifts == (35, 46)  # ceil(240 / 7), ceil(320 / 7)
    block = Plain(7, tables.shifts, 0.5, 3).block(0)[:4]
    for mask, grid, (down, right) in zip(
        block.render(tables), block.grids, block.shifts, strict=True
    ):
        large = cv2.resize(grid.astype(np.float32), (8 * 46, 8 * 35))
        assert np.abs(mask - large[down : down + 240, right : right + 320]).max() < 1e-5


def test_thinned_tables_give_the_same_masks_on_fewer_pixels() -> None:
    """They are every C // 4th row and column of the whole masks, exactly."""
    tables = MaskTables.of(Size(224, 100), 7)
    block = Plain(7, tables.shifts, 0.5, 0).block(0)
    down, right = 32 // LATTICE, 15 // LATTICE
    expected = block.render(tables)[:, ::down, ::right]
    assert np.array_equal(block.render(tables.thinned()), expected)


def test_a_part_of_a_block_knows_where_it_starts() -> None:
    """Parts joined again are the block."""
    block = Plain(7, (32, 32), 0.5, 0).block(2 * BLOCK)
    parts = [block[:5], block[5:30], block[30:]]
    assert [part.start for part in parts] == [64, 69, 94]
    whole = MaskBlock.join(parts)
    assert whole.start == block.start
    assert np.array_equal(whole.grids, block.grids)
    assert np.array_equal(whole.shifts, block.shifts)
