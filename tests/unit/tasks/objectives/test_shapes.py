import numpy as np
import pytest

from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.objectives.shapes import CELLS, MOST, Mask, Shape
from pellucid_server.types import Box, Size


def disc(x: float, y: float, radius: float, frame: Frame) -> Mask:
    """A disc in pixels of the input, on the pixels of a frame's image."""
    across, down = frame.scale
    rows, columns = np.indices(frame.image) + 0.5
    u = (columns - frame.region.x_min) / across
    v = (rows - frame.region.y_min) / down
    return np.asarray((u - x) ** 2 + (v - y) ** 2 <= radius**2)


DISCS = ((50, 40, 20), (55, 40, 20), (50, 40, 5), (90, 90, 5), (50, 60, 30))


def lay(row: int, frame: Frame) -> Mask:
    x, y, radius = DISCS[row]
    return disc(x, y, radius, frame)


def frame(width: int, height: int) -> Frame:
    """An input of 100 x 100 that shows the image with a border."""
    return Frame(Size(height, width), Size(100, 100), Box(-5, 0, width + 5, height))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_is_that_of_all_rows(seed: int) -> None:
    """Weight x IoU of masks counted pixel by pixel; rows that are not laid cannot win."""
    weights = np.random.default_rng(seed).random(len(DISCS))
    view = frame(60, 60)
    shape = Shape.of(0, Box(10, 10, 50, 40), view, lay)
    assert shape is not None
    assert shape.grid.image == view.image
    masks = [lay(row, view) for row in range(len(DISCS))]
    ious = [(masks[0] & each).sum() / (masks[0] | each).sum() for each in masks]
    assert shape.score(weights, lay) == pytest.approx((weights * ious).max(), abs=1e-12)
    assert shape.score(np.zeros(len(DISCS)), lay) == 0


@pytest.mark.parametrize("size", [(1000, 800), (6000, 4000)])
def test_large_images_are_compared_on_fewer_pixels(size: tuple[int, int]) -> None:
    """The object has 64 cells along its longer side; its IoU is right to 0.02."""
    view = frame(*size)
    box = Box(0.3 * size[0], 0.2 * size[1], 0.7 * size[0], 0.6 * size[1])
    shape = Shape.of(0, box, view, lay)
    assert shape is not None
    longer = max(box.x_max - box.x_min, box.y_max - box.y_min)
    assert shape.grid.image.width == round(size[0] * CELLS / longer)
    assert max(shape.grid.image) <= MOST
    exact = frame(200, 200)
    masks = [lay(row, exact) for row in (0, 1)]
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert shape.overlap(lay(1, shape.grid)) == pytest.approx(expected, abs=0.02)


def test_a_mask_that_covers_nothing_is_none() -> None:
    """Its box is compared instead."""
    assert (
        Shape.of(0, Box(0, 0, 9, 9), frame(20, 20), lambda _, grid: np.zeros(grid.image, bool))
        is None
    )
