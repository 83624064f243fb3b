"""Masks of objects, compared on grids that are no finer than it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pellucid_server.imaging.frame import Frame
from pellucid_server.types import Array, Box, Size

CELLS = 64
"""Along the longer side of the object that is sought."""
MOST = 1024
"""Along the longer side of the whole image."""

Mask = NDArray[np.bool_]
Lay = Callable[[int, Frame], Mask]
"""The mask of a row on the pixels of a frame's image."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The mask of an object on a grid of its own."""

    grid: Frame
    mask: Mask

    @classmethod
    def of(cls, row: int, box: Box, frame: Frame, lay: Lay) -> Self | None:
        """The mask of a row; None where it covers nothing."""
        grid = _grid(frame, box)
        mask = lay(row, grid)
        return cls(grid, mask) if mask.any() else None

    def score(self, weights: Array, lay: Lay) -> float:
        """The greatest weight x intersection over union of masks.

        Rows come by falling weight, until no other can be better.
        """
        best = 0.0
        for row in np.argsort(-weights, kind="stable").tolist():
            if weights[row] <= best:
                break
            best = max(best, float(weights[row]) * self.overlap(lay(row, self.grid)))
        return best

    def overlap(self, mask: Mask) -> float:
        """Intersection over union."""
        both = np.count_nonzero(self.mask & mask)
        return both / (np.count_nonzero(self.mask) + np.count_nonzero(mask) - both)


def _grid(frame: Frame, box: Box) -> Frame:
    """The same view with an image of fewer pixels: enough for what the box holds."""
    longer = max(box.x_max - box.x_min, box.y_max - box.y_min)
    factor = min(1, CELLS / longer, MOST / max(frame.image))
    size = Size(*(max(1, round(extent * factor)) for extent in frame.image))
    across, down = size.width / frame.image.width, size.height / frame.image.height
    region = frame.region
    scaled = Box(
        region.x_min * across, region.y_min * down, region.x_max * across, region.y_max * down
    )
    return Frame(size, frame.input, scaled)
