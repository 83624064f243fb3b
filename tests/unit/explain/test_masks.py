import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.explain.masks import BLOCK, RandomGrids, upsampling
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
)
def test_masks_fit_any_input(
    cells: int, height: int, width: int, seed: int, interpolation: str
) -> None:
    """Every size and aspect, smaller than the grid too, gives masks of it in [0, 1]."""
    grids = RandomGrids(Size(height, width), cells, 0.5, seed, interpolation)
    (masks,) = grids.blocks(3)
    assert masks.shape == (3, height, width)
    assert masks.dtype == np.float32
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_mask_depends_on_seed_and_index_alone() -> None:
    """However many masks are asked for, mask i is the same; another seed gives others."""

    def masks(count: int, seed: int) -> list[np.ndarray]:
        grids = RandomGrids(Size(32, 48), 5, 0.5, seed)
        return [mask for block in grids.blocks(count) for mask in block]

    few, many, other = masks(BLOCK + 5, 7), masks(3 * BLOCK, 7), masks(BLOCK, 8)
    assert len(few) == BLOCK + 5
    assert all(np.array_equal(a, b) for a, b in zip(few, many, strict=False))
    assert not any(np.array_equal(a, b) for a, b in zip(few, other, strict=False))
    assert len({mask.tobytes() for mask in many}) == 3 * BLOCK


def test_masks_are_the_papers_on_non_square_images() -> None:
    """Each mask is some crop of an OpenCV-upsampled grid, with a cell of its own per axis."""
    size, cells = Size(240, 320), 7
    (masks,) = RandomGrids(size, cells, 0.5, 3).blocks(4)
    random = np.random.Generator(np.random.Philox(key=3, counter=[0, 0, 0, 0]))
    grids = random.random((BLOCK, cells, cells), np.float32) < 0.5
    shifts = random.integers(0, [35, 46], (BLOCK, 2))  # ceil(240 / 7), ceil(320 / 7)
    for mask, grid, (down, right) in zip(masks, grids, shifts, strict=False):
        large = cv2.resize(grid.astype(np.float32), (8 * 46, 8 * 35))
        assert np.abs(mask - large[down : down + 240, right : right + 320]).max() < 1e-5


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.9])
def test_share_of_visible_pixels_is_prob(prob: float) -> None:
    """Over 2,048 masks every pixel is visible with `prob`, to five standard errors."""
    grids = RandomGrids(Size(32, 32), 4, prob, 11)
    mean = np.concatenate(list(grids.blocks(2048))).mean(0)
    assert np.abs(mean - prob).max() < 5 * np.sqrt(prob * (1 - prob) / 2048)
