import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.decoders.masks import (
    BoxMasks,
    InputMasks,
    PrototypeMasks,
    sample,
    window,
)
from pellucid_server.types import Array, Box, Size

IMAGE = Size(60, 90)
FRAME = Frame(IMAGE, Size(30, 30), Box(0, -15, 90, 75))
"""An image of 90 x 60 in the middle of an input of 30 x 30: letterboxed."""
BOXES = [
    Box(10, 5, 70, 50),
    Box(10.3, 5.7, 70.2, 50.9),
    Box(-12.5, -7.25, 40, 30),
    Box(60, 30, 120.4, 80.1),
    Box(40.2, 20.1, 41.9, 22.6),
    Box(-20, -20, 200, 200),
]


def at(values: Array, row: float, column: float) -> float:
    """Bilinear between the four nearest cells; those outside are zero."""
    total = 0.0
    for y in (math.floor(row), math.floor(row) + 1):
        for x in (math.floor(column), math.floor(column) + 1):
            if 0 <= y < values.shape[0] and 0 <= x < values.shape[1]:
                total += (1 - abs(row - y)) * (1 - abs(column - x)) * float(values[y, x])
    return total


def detectron_paste(mask: Array, box: Box, image: Size) -> NDArray[np.float64]:
    """`_do_paste_mask` of Detectron2: grid_sample at the centres of pixels, zero outside."""
    height, width = mask.shape
    pasted = np.zeros(image)
    for y in range(image.height):
        for x in range(image.width):
            across = (x + 0.5 - box.x_min) / (box.x_max - box.x_min) * 2 - 1
            down = (y + 0.5 - box.y_min) / (box.y_max - box.y_min) * 2 - 1
            pasted[y, x] = at(mask, ((down + 1) * height - 1) / 2, ((across + 1) * width - 1) / 2)
    return pasted


def torchvision_box(box: Box, cells: int) -> tuple[int, int, int, int]:
    """`expand_boxes` of torchvision by the padding of one cell, made whole."""
    scale = (cells + 2) / cells
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    across, down = (box.x_max - box.x_min) / 2 * scale, (box.y_max - box.y_min) / 2 * scale
    return int(x - across), int(y - down), int(x + across), int(y + down)


def torchvision_paste(mask: Array, box: Box, image: Size) -> NDArray[np.float64]:
    """`paste_mask_in_image` of torchvision: padded, its box made whole, resized, cut."""
    x_min, y_min, x_max, y_max = torchvision_box(box, mask.shape[0])
    width, height = max(x_max - x_min + 1, 1), max(y_max - y_min + 1, 1)
    padded = np.pad(mask, 1)
    pasted = np.zeros(image)
    for y in range(max(y_min, 0), min(y_max + 1, image.height)):
        for x in range(max(x_min, 0), min(x_max + 1, image.width)):
            row = max((y - y_min + 0.5) * padded.shape[0] / height - 0.5, 0)
            column = max((x - x_min + 0.5) * padded.shape[1] / width - 0.5, 0)
            row, column = min(row, padded.shape[0] - 1), min(column, padded.shape[1] - 1)
            pasted[y, x] = at(padded, row, column)
    return pasted


def laid(masks: BoxMasks, box: Box) -> NDArray[np.float32]:
    canvas = np.zeros(IMAGE, np.float32)
    canvas[masks.window(box, IMAGE)] = masks.lay(0, box, FRAME)
    return canvas


def one(mask: Array) -> BoxMasks:
    return BoxMasks(mask[None], np.arange(1))


def smooth(rng: np.random.Generator, cells: int) -> Array:
    """A blob, as mask heads give them."""
    y, x = np.mgrid[:cells, :cells] / cells - rng.uniform(0.4, 0.6, (2, 1, 1))
    blob: Array = 1 / (1 + np.exp((np.hypot(y, x) - 0.35) * 25))
    return blob.astype(np.float32)


@pytest.mark.parametrize("box", BOXES)
def test_masks_of_boxes_are_pasted_as_by_detectron(rng: np.random.Generator, box: Box) -> None:
    """Greatest difference over random masks and boxes across the edge: under 1e-5."""
    mask = rng.random((28, 28), np.float32)
    assert np.abs(laid(one(mask), box) - detectron_paste(mask, box, IMAGE)).max() < 1e-5


@pytest.mark.parametrize("box", BOXES)
def test_given_its_whole_box_the_paste_is_that_of_torchvision(
    rng: np.random.Generator, box: Box
) -> None:
    """Greatest difference: under 1e-5; torchvision's box ends after its last pixel."""
    mask = rng.random((28, 28), np.float32)
    x_min, y_min, x_max, y_max = torchvision_box(box, 28)
    region = Box(x_min, y_min, x_max + 1, y_max + 1)
    where = window(region, IMAGE)
    canvas = np.zeros(IMAGE, np.float32)
    canvas[where] = sample(np.pad(mask, 1), region, where)
    assert np.abs(canvas - torchvision_paste(mask, box, IMAGE)).max() < 1e-5


@pytest.mark.parametrize("box", BOXES)
def test_masks_differ_from_those_of_torchvision_by_the_rounding_of_its_boxes(
    rng: np.random.Generator, box: Box
) -> None:
    """Only pixels within one of the outline differ."""
    mask = smooth(rng, 28)
    ours = laid(one(mask), box) >= 0.5
    theirs = torchvision_paste(mask, box, IMAGE) >= 0.5
    padded = np.pad(theirs, 1)
    near = [
        padded[1 + y : 1 + y + IMAGE.height, 1 + x : 1 + x + IMAGE.width]
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    ]
    assert (ours <= np.any(near, axis=0)).all()
    assert (np.all(near, axis=0) <= ours).all()


def test_a_full_mask_fills_just_its_box() -> None:
    mask = laid(one(np.ones((28, 28))), Box(10, 5, 70, 50)) >= 0.5
    expected = np.zeros(IMAGE, bool)
    expected[5:50, 10:70] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_mask_of_the_input_is_cut_out_of_it_by_its_box() -> None:
    """The left half of the letterboxed input is the left half of the image."""
    values = np.zeros((1, 30, 30), np.float32)
    values[:, :, :15] = 1
    masks, box = InputMasks(values, np.arange(1)), Box(20, 10, 80, 40)
    canvas = np.zeros(IMAGE, bool)
    canvas[masks.window(box, IMAGE)] = masks.lay(0, box, FRAME) >= 0.5
    expected = np.zeros(IMAGE, bool)
    expected[10:40, 20:45] = True
    np.testing.assert_array_equal(canvas, expected)


def test_rows_are_taken_from_rows() -> None:
    values = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 2), np.float32)
    masks = InputMasks(values, np.arange(5)).take(np.array([4, 2, 1])).take(np.array([1]))
    box = Box(0, 0, 90, 60)
    assert np.unique(masks.lay(0, box, FRAME)) == [2]


def test_prototypes_are_mixed_before_the_sigmoid(rng: np.random.Generator) -> None:
    coefficients = rng.normal(size=(2, 4)).astype(np.float32)
    prototypes = rng.normal(size=(4, 15, 15)).astype(np.float32)
    mixed = 1 / (1 + np.exp(-np.einsum("k,kyx->yx", coefficients[1], prototypes)))
    masks, box = PrototypeMasks(coefficients, np.arange(2), prototypes), Box(-9, 3, 77.7, 200)
    expected = InputMasks(mixed[None], np.arange(1)).lay(0, box, FRAME)
    np.testing.assert_allclose(masks.lay(1, box, FRAME), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("box", [Box(-30, -30, -5, -5), Box(95, 10, 99, 20), Box(5.6, 5, 6.4, 9)])
def test_a_box_without_the_centre_of_a_pixel_has_no_pixels(box: Box) -> None:
    masks = InputMasks(np.ones((1, 30, 30)), np.arange(1))
    assert masks.window(box, IMAGE).pixels == 0
    assert masks.lay(0, box, FRAME).size == 0
