"""Pictures and masks as they travel, decoded."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.errors import InternalError
from pellucid.v1 import common_pb2 as pb


def from_mask(mask: pb.BinaryMask) -> NDArray[np.bool_]:
    """The mask as height x width booleans, from its PNG or its run lengths."""
    if mask.png:
        return np.asarray(decode_picture(mask.png).convert("L")) > 127
    return decode_rle(mask.rle, mask.size.height, mask.size.width)


def decode_picture(data: bytes) -> Image.Image:
    """A picture of the server's.

    Raises:
        InternalError: it cannot be read.
    """
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken files
        raise InternalError(f"the server's picture cannot be read: {error}") from error
    return image


def decode_rle(counts: str, height: int, width: int) -> NDArray[np.bool_]:
    """COCO's compressed run lengths: runs of 0 and 1 in turn, column by column.

    Raises:
        InternalError: runs that do not fill the mask.
    """
    runs = _runs(counts)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise InternalError(f"the server's run lengths do not fill {width} x {height} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _runs(counts: str) -> list[int]:
    # Five bits a character, the sixth says that more follow; from the third on, runs are
    # differences to the last but one.
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
