"""Pictures, label maps and masks as the contract sends them."""

from io import BytesIO

import cv2
import numpy as np
import PIL.Image
from faster_coco_eval.core import mask as coco
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput
from pellucid_server.types import Array, Image, PictureFormat

FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
JPEG_90_444 = (
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
OPTIONS = {PictureFormat.PNG: FAST_PNG, PictureFormat.JPEG: JPEG_90_444}


def encode_picture(image: Image, format: PictureFormat) -> bytes:  # noqa: A002 - the contract's word
    """Encodes RGB as fast PNG, or as JPEG of quality 90 without chroma subsampling.

    Raises:
        InvalidInput: a side is longer than the format allows.
    """
    return _encode(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), format)


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Encodes a mask as 8-bit grey PNG, 255 where it is set."""
    return _encode(mask.astype(np.uint8) * 255, PictureFormat.PNG)


def encode_label_map(label_map: NDArray[np.uint16]) -> bytes:
    """Encodes classes as PNG: 8-bit palette of `class_color`, or 16-bit grey beyond 256."""
    if label_map.max(initial=0) > 255:
        return _encode(label_map, PictureFormat.PNG)
    picture = PIL.Image.fromarray(label_map.astype(np.uint8)).convert("P")
    picture.putpalette([part for each in range(256) for part in class_color(each).to_bytes(3)])
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def class_color(class_id: int) -> int:
    """The class's colour, 0xRRGGBB: the bit palette of PASCAL VOC.

    Bits 0, 1, 2 of the class become the highest bits of red, green and blue, the next
    three the bits below them: near classes are far apart, and 0 is black.
    """
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (class_id & 1) << bit
        green |= (class_id >> 1 & 1) << bit
        blue |= (class_id >> 2 & 1) << bit
        class_id >>= 3
    return red << 16 | green << 8 | blue


def mask_to_rle(mask: NDArray[np.bool_]) -> str:
    """COCO's compressed run-length encoding: the `counts` string of pycocotools."""
    counts: bytes = coco.encode(np.asfortranarray(mask, np.uint8))["counts"]
    return counts.decode("ascii")


def _encode(image: Array, format: PictureFormat) -> bytes:  # noqa: A002 - the contract's word
    try:
        done, data = cv2.imencode(f".{format}", image, OPTIONS[format])
    except cv2.error as error:
        raise _too_long(image, format) from error
    if not done:
        raise _too_long(image, format)
    return bytes(data)


def _too_long(image: Array, format: PictureFormat) -> InvalidInput:  # noqa: A002 - as above
    height, width = image.shape[:2]
    return InvalidInput(
        f"the result is {width} x {height} pixels, too many for a side of a {format} file: "
        "send a smaller image",
        field="inputs",
    )
