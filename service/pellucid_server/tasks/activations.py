import math

import numpy as np

from pellucid_server.errors import InferenceFailed
from pellucid_server.types import Array

TOLERANCE = 1e-3
"""How far beyond [0, 1] a probability may be: FP16 and INT8 round."""


def softmax(logits: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)), safe for large values; not a number where x is infinite."""
    # Ufuncs themselves: arrays' methods and NumPy's functions are Python around them.
    with np.errstate(invalid="ignore"):
        powers: Array = np.exp(logits - np.maximum.reduce(logits, axis, keepdims=True))
    powers /= np.add.reduce(powers, axis, keepdims=True)
    return powers


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)), safe for large values."""
    halves: Array = np.tanh(logits / 2)
    return (halves + 1) / 2


def probabilities(values: Array, remedy: str) -> Array:
    """Values that are probabilities, give or take a rounding.

    Raises:
        InferenceFailed: they are not; the message ends with the remedy.
    """
    low = np.minimum.reduce(values, axis=None, initial=0)
    high = np.maximum.reduce(values, axis=None, initial=0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InferenceFailed("the model's scores are not finite")
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise InferenceFailed(f"the model's scores are not probabilities: {remedy}")
    return values if low >= 0 and high <= 1 else values.clip(0, 1)
