"""Photos, masks and maps of values, as callers send them."""

import io
from contextlib import suppress

import numpy as np
from PIL import Image

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.decode import (
    decode_image,
    decode_mask,
    decode_reduced,
    decode_values,
)
from pellucid_server.types import Size

PIXELS = 1_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
NEEDED = Size(8, 8)


def take(data: bytes) -> None:
    """Decodes it in every way."""
    with suppress(InvalidInput):
        decode_image(data, max_pixels=PIXELS, field="image")
    with suppress(InvalidInput):
        decode_reduced(data, NEEDED, max_pixels=PIXELS, field="image")
    with suppress(InvalidInput):
        decode_values(data, max_pixels=PIXELS, field="image")
    with suppress(InvalidInput):
        decode_mask(data, NEEDED, max_pixels=PIXELS, field="image")


def small(kind: str) -> bytes:
    """A small file of a format."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


SEEDS = list(map(small, FORMATS))
