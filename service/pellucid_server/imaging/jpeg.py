"""JPEG, the format that most callers send, on the shortest way to its pixels."""

import math

import cv2
import numpy as np
import simplejpeg

from pellucid_server.types import Array, Image, Size

START = b"\xff\xd8\xff"
NOTES = b"\xff\xe1"
"""The marker of EXIF and XMP, which may say that a picture lies on its side."""
COLOURS = frozenset({"YCbCr", "RGB", "Gray"})
REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""What a JPEG can be shrunk by while it is decoded: fewer coefficients of each block are used."""
SPARE = 2
"""A reduced image keeps this many times the pixels that are needed, along each side."""


def plain_size(data: bytes) -> Size | None:
    """The size of a JPEG that is stored upright, in colours or greys; None: it may be otherwise.

    Pillow's look at a file costs a quarter of decoding a small one, beside inferences.
    """
    if not data.startswith(START) or NOTES in data:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return Size(height, width) if colours in COLOURS else None


def jpeg_pixels(data: bytes, size: Size, needed: Size | None = None) -> Image | None:
    """RGB as stored, by libjpeg-turbo; None: it is broken, or no JPEG in colours or greys.

    Where an image of `needed` pixels will be made of it, a large one comes smaller.
    """
    factor = _factor(size, needed)
    if factor == 1:
        return _whole(data)
    flags = REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None or image.shape[:2] != tuple(-(-side // factor) for side in size):
        return None
    rgb: Array = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return rgb


def _whole(data: bytes) -> Image | None:
    try:
        pixels: Image = simplejpeg.decode_jpeg(data)
    except ValueError:
        return None
    return pixels


def _factor(size: Size, needed: Size | None) -> int:
    """The most that a picture can be shrunk by, whichever way it is turned."""
    least = SPARE * max(needed) if needed else math.inf
    return max((each for each in REDUCED if min(size) >= each * least), default=1)
