"""Where a rectangle of the image lies on a map of it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.types import Box, Size

CLOSE = 1e-6
"""How near to a whole cell counts as whole."""
BEYOND = 1.0
"""Pixels that a box may reach out of the image: those of rounding."""


def checked(box: Box, image: Size, path: str) -> Box:
    """A caller's box, cut to the image.

    Raises:
        InvalidInput: it is empty, or reaches out of the image.
    """
    corners = (box.x_min, box.y_min, box.x_max, box.y_max)
    if not all(map(math.isfinite, corners)) or box.x_min >= box.x_max or box.y_min >= box.y_max:
        raise InvalidInput(
            f"the box {corners} is empty: give x_min < x_max and y_min < y_max", field=path
        )
    within = Box(
        max(box.x_min, 0),
        max(box.y_min, 0),
        min(box.x_max, image.width),
        min(box.y_max, image.height),
    )
    beyond = max(
        abs(one - other) for one, other in zip(corners, vars(within).values(), strict=True)
    )
    if beyond > BEYOND or within.x_min >= within.x_max or within.y_min >= within.y_max:
        raise InvalidInput(
            f"the box {corners} reaches out of the image, which is {image.width} x {image.height}",
            field=path,
        )
    return within


def tile_around(boxes: Sequence[Box], tile: Size, image: Size) -> tuple[slice, slice]:
    """Rows and columns of a tile with all boxes in its middle, or near it at the image's edge.

    Raises:
        InvalidInput: they do not fit in one.
    """
    rows = _piece([(box.y_min, box.y_max) for box in boxes], tile.height, image.height)
    columns = _piece([(box.x_min, box.x_max) for box in boxes], tile.width, image.width)
    if rows is None or columns is None:
        raise InvalidInput(
            f"the boxes of the targets span more than a tile of {tile.width} x {tile.height}: "
            "explain them one by one, choose smaller ones, or raise super_resolution.tile_size",
            field="targets",
        )
    return rows, columns


def _piece(spans: Sequence[tuple[float, float]], tile: int, extent: int) -> slice | None:
    low = math.floor(min(low for low, _ in spans))
    high = math.ceil(max(high for _, high in spans))
    if high - low > tile:
        return None
    start = min(max((low + high - tile) // 2, 0), max(extent - tile, 0))
    return slice(start, min(start + tile, extent))


def cells(frame: Frame, size: Size, box: Box | None = None) -> NDArray[np.bool_]:
    """The cells of a map of the model's input that a box of the image touches; none: the image."""
    box = box or Box(0, 0, frame.image.width, frame.image.height)
    touched = np.zeros(size, np.bool_)
    rows = _span(box.y_min, box.y_max, frame.region.y_min, frame.region.y_max, size.height)
    columns = _span(box.x_min, box.x_max, frame.region.x_min, frame.region.x_max, size.width)
    touched[rows, columns] = True
    return touched


def _span(low: float, high: float, start: float, end: float, count: int) -> slice:
    """The cells of an axis from `start` to `end` that touch what is from `low` to `high`."""
    step = (end - start) / count
    first = math.floor((low - start) / step + CLOSE)
    last = math.ceil((high - start) / step - CLOSE)
    return slice(*(min(max(edge, 0), count) for edge in (first, last)))
