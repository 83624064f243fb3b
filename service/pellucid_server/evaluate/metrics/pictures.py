"""How alike two pictures are."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid_server.types import Array, Image

WHITE = 255.0
CAP = 100.0
"""Decibels of equal pictures, and the most that any pair gets."""
RADIUS = 5
"""Of the Gaussian window: 3.5 deviations of 1.5."""
WINDOW = 2 * RADIUS + 1
K1, K2 = 0.01, 0.03


def psnr(one: Array, other: Array) -> float:
    """Peak signal-to-noise ratio in decibels, for values of 0 to 255; at most `CAP`."""
    difference = one.astype(np.float64) - other
    error = float(np.mean(difference**2))
    return CAP if error == 0 else min(CAP, float(10 * np.log10(WHITE**2 / error)))


def ssim(one: Array, other: Array) -> float | None:
    """Structural similarity: the mean over channels and places; None below 11 pixels a side.

    A Gaussian window of deviation 1.5, the covariance of the window itself, and only places
    at which the whole window lies on the picture. Wang et al. 2004, equation 13,
    https://doi.org/10.1109/TIP.2003.819861
    """
    if min(one.shape[:2]) < WINDOW:
        return None
    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = _local(x), _local(y)
    variance_x = _local(x * x) - mean_x * mean_x
    variance_y = _local(y * y) - mean_y * mean_y
    covariance = _local(x * y) - mean_x * mean_y
    c1, c2 = (K1 * WHITE) ** 2, (K2 * WHITE) ** 2
    alike = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    scale = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    inside = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    return float(np.mean((alike / scale)[inside]))


def luma(image: Image) -> NDArray[np.float64]:
    """Brightness of 16 to 235, as papers on super-resolution measure. ITU-R BT.601."""
    weights = np.array([65.481, 128.553, 24.966]) / WHITE
    return np.asarray(image @ weights + 16)


def _window() -> NDArray[np.float64]:
    powers = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / 1.5) ** 2)
    return np.asarray(powers / powers.sum())


def _local(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean in the window around each place."""
    window = _window()
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, window, window))
