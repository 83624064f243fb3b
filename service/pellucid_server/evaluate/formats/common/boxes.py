import math

from pellucid_server.evaluate.formats.common.rows import BadRow
from pellucid_server.types import Box, Size

TOLERANCE = 1.0
"""Pixels by which rounding may put a box beyond its image."""


def checked_box(box: Box, size: Size | None) -> Box:
    """A box of positive extent within its image, whose size may not be known.

    Raises:
        BadRow: it is not.
    """
    corners = (box.x_min, box.y_min, box.x_max, box.y_max)
    if not all(math.isfinite(each) for each in corners):
        raise BadRow(f"the box {corners} is not of finite numbers")
    if box.x_max <= box.x_min or box.y_max <= box.y_min:
        raise BadRow(f"the box {corners} (from x, y to x, y) has no area")
    if size and not (
        min(box.x_min, box.y_min) >= -TOLERANCE
        and box.x_max <= size.width + TOLERANCE
        and box.y_max <= size.height + TOLERANCE
    ):
        raise BadRow(
            f"the box {corners} (from x, y to x, y) leaves the image of "
            f"{size.width} x {size.height} pixels"
        )
    return box
