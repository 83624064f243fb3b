import math

import numpy as np
from numpy.typing import NDArray


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Pearson's correlation of two maps of one size; NaN where one is constant or not finite.

    A constant map says that nothing matters more than anything else: it agrees with no other
    and contradicts none, so that no number would do.

    Raises:
        ValueError: the sizes differ.
    """
    if one.shape != other.shape:
        raise ValueError(f"maps of {one.shape} and {other.shape} cannot be compared")
    a, b = (_unit(each.astype(np.float64).ravel()) for each in (one, other))
    if a is None or b is None:
        return math.nan
    return float(np.clip(a @ b, -1, 1))


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Centred and of length 1; None where there is nothing to scale."""
    if not values.size or not np.isfinite(values).all() or values.min() == values.max():
        return None
    # Scaled twice: squares of the largest and smallest floats would be none.
    centred = values / np.abs(values).max()
    centred -= centred.mean()
    centred /= np.abs(centred).max()
    unit: NDArray[np.float64] = centred / np.linalg.norm(centred)
    return unit
