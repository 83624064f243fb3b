"""Boxes in the ways that models write them."""

import numpy as np
from numpy.typing import NDArray

from pellucid_server.types import Array, Size

MOST_CLASSES = 2**16


def floats(values: Array) -> NDArray[np.float32]:
    """As float32, whatever the model's precision."""
    return np.asarray(values, np.float32)


def from_centers(boxes: Array) -> NDArray[np.float32]:
    """N x 4 of (center x, center y, width, height) as corners."""
    center, half = floats(boxes[:, :2]), floats(boxes[:, 2:4]) / 2
    return np.concatenate([center - half, center + half], axis=1)


def from_unit(boxes: Array, size: Size) -> NDArray[np.float32]:
    """Shares of the input, x before y, as pixels of it."""
    return floats(boxes) * np.array([size.width, size.height] * 2, np.float32)


def class_numbers(values: Array, offset: int = 0) -> NDArray[np.int64]:
    """Class ids less `offset`; -1 where a value can be none."""
    numbers = np.asarray(values, np.float64).reshape(-1) - offset
    known = (numbers > -0.5) & (numbers < MOST_CLASSES)
    return np.rint(np.where(known, numbers, -1)).astype(np.int64)
