from typing import Literal

import cv2

from pellucid_server.types import Array, Size

Interpolation = Literal["linear", "cubic", "area", "nearest"]

KERNELS: dict[Interpolation, int] = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST_EXACT,
}


def resample(values: Array, size: Size, interpolation: Interpolation) -> Array:
    """Makes an array height x width (x channels) as large as `size`.

    Each axis that shrinks averages, whatever the other one does; with `nearest` none does.
    """
    if interpolation != "nearest":
        smaller = Size(min(size.height, values.shape[0]), min(size.width, values.shape[1]))
        values = _resize(values, smaller, cv2.INTER_AREA)
    return _resize(values, size, KERNELS[interpolation])


def _resize(values: Array, size: Size, kernel: int) -> Array:
    if values.shape[:2] == size:
        return values
    resized = cv2.resize(values, (size.width, size.height), interpolation=kernel)
    return resized.reshape(*size, *values.shape[2:])
