"""What callers pass as an image, to the contract's inputs."""

import io
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pellucid._wire.tensors import to_tensor
from pellucid.errors import InvalidArgumentError
from pellucid.types import Array, ImageLike, InputLike, Uri
from pellucid.v1 import common_pb2 as pb

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


def to_input(value: InputLike) -> pb.Input:
    """The contract's input of whatever says an image or tensors.

    Raises:
        OSError: a file that cannot be read.
        InvalidArgumentError: pixels that are no image.
        TypeError: something else altogether.
    """
    if isinstance(value, Mapping):
        tensors = [to_tensor(name, array) for name, array in value.items()]
        return pb.Input(tensors=pb.TensorList(tensors=tensors))
    if isinstance(value, Uri):
        return pb.Input(uri=value.value)
    return pb.Input(image=image_bytes(value))


def image_bytes(value: ImageLike) -> bytes:
    """An encoded image of a path, bytes, an open file, a Pillow image or pixels."""
    if isinstance(value, str | PathLike):
        return Path(value).read_bytes()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Image.Image):
        return _png(ImageOps.exif_transpose(value))
    if isinstance(value, np.ndarray):
        return _png(_from_pixels(value))
    return _read(value)


def open_image(value: ImageLike) -> Image.Image:
    """The upright RGB picture of an image, to draw on."""
    if isinstance(value, Uri):
        raise TypeError("the server reads a Uri itself: give the image to draw on")
    image = Image.open(io.BytesIO(image_bytes(value)))
    return ImageOps.exif_transpose(image).convert("RGB")


def _read(value: Any) -> bytes:
    read = getattr(value, "read", None)
    data = read() if callable(read) else None
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        raise TypeError("the file is open as text: open it with mode 'rb'")
    raise TypeError(
        f"not an image: {type(value).__name__}; give a path, bytes, a PIL image, a NumPy array, "
        "a binary file, pellucid.Uri, or a dict of tensors"
    )


def _from_pixels(pixels: Array) -> Image.Image:
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in {2, 3} or channels not in {1, 3, 4}:
        raise InvalidArgumentError(
            "an image array is uint8 of H x W, H x W x 3 (RGB) or H x W x 4, "
            f"not {pixels.dtype} of {' x '.join(map(str, pixels.shape))}; to feed the model's "
            "own inputs pass a dict of arrays, for several images a list",
            field="image",
        )
    if 0 in pixels.shape:
        raise InvalidArgumentError("the image array is empty", field="image")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _png(image: Image.Image) -> bytes:
    if image.mode not in _PNG_MODES:
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
