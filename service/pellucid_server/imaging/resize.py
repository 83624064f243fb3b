import math
from collections.abc import Callable

import numpy as np

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.resample import resample
from pellucid_server.spec import Preprocess, Resize
from pellucid_server.types import Array, Box, Size


def fit(image: Array, target: Size | None, preprocess: Preprocess) -> tuple[Array, Frame]:
    """Makes an image as large as a model's input, and says where it lies on the image.

    Takes height x width (x channels); `target` is None where the input takes any size.

    Raises:
        InvalidInput: the way of resizing and the input's size do not go together.
    """
    if preprocess.resize is Resize.NONE:
        return _pad(image, target, preprocess.multiple_of)
    if target is None:
        raise InvalidInput(
            "the model takes images of any size: set preprocess.size, or resize: none",
            field="preprocess.resize",
        )
    return FITS[preprocess.resize](image, target, preprocess)


def size_of(image: Array) -> Size:
    """Height and width of an image."""
    return Size(image.shape[0], image.shape[1])


def pad(image: Array, size: Size) -> Array:
    """Repeats the last row and column until the image is as large as `size`."""
    height, width = size_of(image)
    if size == (height, width):
        return image
    widths = [(0, size.height - height), (0, size.width - width)] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, widths, mode="edge")


def up_to_multiple(size: Size, multiple: int) -> Size:
    """The smallest size of whole multiples that holds `size`."""
    return Size(*(math.ceil(extent / multiple) * multiple for extent in size))


def _pad(image: Array, target: Size | None, multiple: int) -> tuple[Array, Frame]:
    size = size_of(image)
    padded = up_to_multiple(size, multiple)
    if target not in {None, padded}:
        raise InvalidInput(
            f"the image is {size.width} x {size.height} and the model takes "
            f"{target.width} x {target.height}: resize the image, or set preprocess.resize",
            field="preprocess.resize",
        )
    return pad(image, padded), Frame(size, padded, Box(0, 0, padded.width, padded.height))


def _stretch(image: Array, target: Size, preprocess: Preprocess) -> tuple[Array, Frame]:
    size = size_of(image)
    frame = Frame(size, target, Box(0, 0, size.width, size.height))
    return resample(image, target, preprocess.interpolation), frame


def _crop(image: Array, target: Size, preprocess: Preprocess) -> tuple[Array, Frame]:
    size = size_of(image)
    scale = preprocess.crop_fraction * min(size.height / target.height, size.width / target.width)
    height, width = (max(1, round(extent * scale)) for extent in target)
    top, left = (size.height - height) // 2, (size.width - width) // 2
    part = image[top : top + height, left : left + width]
    frame = Frame(size, target, Box(left, top, left + width, top + height))
    return resample(part, target, preprocess.interpolation), frame


def _letterbox(
    image: Array, target: Size, preprocess: Preprocess, *, centred: bool = True
) -> tuple[Array, Frame]:
    size = size_of(image)
    scale = min(target.height / size.height, target.width / size.width)
    inner = Size(*(max(1, round(extent * scale)) for extent in size))
    spare = Size(target.height - inner.height, target.width - inner.width)
    top, left = (spare.height // 2, spare.width // 2) if centred else (0, 0)
    canvas = np.full((*target, *image.shape[2:]), preprocess.pad_value, image.dtype)
    canvas[top : top + inner.height, left : left + inner.width] = resample(
        image, inner, preprocess.interpolation
    )
    return canvas, Frame(size, target, _surroundings(size, inner, target, top, left))


def _surroundings(size: Size, inner: Size, target: Size, top: int, left: int) -> Box:
    """What the whole input shows, where the image became `inner` at (`left`, `top`)."""
    across, down = size.width / inner.width, size.height / inner.height
    return Box(
        -left * across,
        -top * down,
        (target.width - left) * across,
        (target.height - top) * down,
    )


def _letterbox_top_left(image: Array, target: Size, preprocess: Preprocess) -> tuple[Array, Frame]:
    return _letterbox(image, target, preprocess, centred=False)


FITS: dict[Resize, Callable[[Array, Size, Preprocess], tuple[Array, Frame]]] = {
    Resize.STRETCH: _stretch,
    Resize.CROP: _crop,
    Resize.LETTERBOX: _letterbox,
    Resize.LETTERBOX_TOP_LEFT: _letterbox_top_left,
}
