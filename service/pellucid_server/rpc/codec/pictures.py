import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import common_pb2
from pellucid_server.imaging.encode import (
    encode_label_map,
    encode_mask,
    encode_picture,
    mask_to_rle,
)
from pellucid_server.rpc.codec.choices import MEDIA_TYPES
from pellucid_server.rpc.codec.geometry import encode_size
from pellucid_server.types import Array, Image, PictureFormat, Size


def picture(image: Image, picture_format: PictureFormat) -> common_pb2.Picture:
    """A picture as a file."""
    return common_pb2.Picture(
        data=encode_picture(image, picture_format),
        media_type=MEDIA_TYPES[picture_format],
        size=_size(image),
    )


def label_map(classes: NDArray[np.uint16]) -> common_pb2.Picture:
    """A class for every pixel as a PNG."""
    return common_pb2.Picture(
        data=encode_label_map(classes),
        media_type=MEDIA_TYPES[PictureFormat.PNG],
        size=_size(classes),
    )


def binary_mask(mask: NDArray[np.bool_]) -> common_pb2.BinaryMask:
    """A mask, as run lengths and as a PNG."""
    return common_pb2.BinaryMask(size=_size(mask), rle=mask_to_rle(mask), png=encode_mask(mask))


def _size(pixels: Array) -> common_pb2.ImageSize:
    return encode_size(Size(*pixels.shape[:2]))
