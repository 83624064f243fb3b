import numpy as np
import pytest

from pellucid_server.types import Image


@pytest.fixture
def picture() -> Image:
    """A smooth picture of 40 x 60 whose corners all differ."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([y * 6, x * 4, 255 - y * 3 - x * 2], axis=2).astype(np.uint8)
