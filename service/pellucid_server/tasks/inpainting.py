import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.resample import resample
from pellucid_server.imaging.resize import fit, size_of
from pellucid_server.tasks.base import Prepared, register
from pellucid_server.tasks.options import read_options
from pellucid_server.tasks.pictures import PictureModel, PictureOptions, to_image
from pellucid_server.types import (
    Array,
    Box,
    Image,
    ImageResult,
    Infer,
    InpaintingParameters,
    Outputs,
    Port,
    Size,
    Task,
)


@register
@dataclass(frozen=True)
class Inpainting(PictureModel[InpaintingParameters]):
    """The image with its holes filled; every other pixel stays as it is.

    The role `mask` of the spec's `inputs` names the input that takes the holes, 1 where
    a pixel is to be filled.
    """

    task = Task.INPAINTING
    parameters = InpaintingParameters
    answer = "the filled holes"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.mask

    @cached_property
    def options(self) -> PictureOptions:
        """The `decode` section."""
        return read_options(PictureOptions, self.spec.decode)

    @cached_property
    def mask(self) -> Port:
        """The input that takes the holes."""
        port = self.role("mask")
        if port is None:
            raise InvalidInput(
                "inputs.mask is missing: name the input that takes the holes",
                field="inputs.mask",
            )
        return port

    def prepare(self, image: Image, parameters: InpaintingParameters) -> Prepared:
        """Blackens the holes; a pixel of the input that any part of a hole touches is one."""
        pixels, frame = fit(image, self.input_size, self.spec.preprocess)
        mask = self._touched(holes(image, parameters))
        blackened = np.where(mask[..., None], np.uint8(0), pixels)
        feeds = {self.image.name: blackened[None], self.mask.name: _shaped(mask, self.mask)}
        return Prepared(feeds, frame)

    def _touched(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The input's pixels that a hole has any part in; what pads the input is a hole.

        `nearest` looks at some pixels only: averaging finds the holes between them.
        """
        mask = inside.astype(np.float32)
        preprocess = self.spec.preprocess.model_copy(update={"pad_value": 1})
        average = preprocess.model_copy(update={"interpolation": "area"})
        looked_at, covered = (
            fit(mask, self.input_size, each)[0] != 0 for each in (preprocess, average)
        )
        touched: NDArray[np.bool_] = looked_at | covered
        return touched

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: InpaintingParameters
    ) -> ImageResult:
        """The model's picture of the whole image."""
        placed = prepared.frame.place(self.pixels(outputs), interpolation="cubic")
        return ImageResult(to_image(placed), parameters.format)

    def answered(self, prepared: Prepared, size: Size) -> NDArray[np.bool_]:
        """The holes: all else stays as it was sent."""
        mask = prepared.feeds[self.mask.name].reshape(prepared.frame.input)
        inside = np.asarray(resample(mask, size, "linear") > 0)
        return inside & super().answered(prepared, size)

    def predict(self, image: Image, parameters: InpaintingParameters, infer: Infer) -> ImageResult:
        """The image, and in its holes what the model made of them."""
        filled = super().predict(image, parameters, infer).image
        inside = holes(image, parameters)[..., None]
        return ImageResult(np.where(inside, filled, image), parameters.format)


def holes(image: Image, parameters: InpaintingParameters) -> NDArray[np.bool_]:
    """The pixels to fill: those of the mask, and those that a rectangle touches.

    Raises:
        InvalidInput: there are none, nothing else is left, or they do not fit the image.
    """
    size = size_of(image)
    inside = np.zeros(size, bool) if parameters.mask is None else parameters.mask.astype(bool)
    if inside.shape != size:
        raise InvalidInput(
            f"the mask is {inside.shape[1]} x {inside.shape[0]} pixels and the image "
            f"{size.width} x {size.height}: send a mask of the image's size",
            field="inpainting.mask",
        )
    for index, box in enumerate(parameters.rectangles):
        _check(box, size, f"inpainting.rectangles[{index}]")
        rows = slice(math.floor(box.y_min), math.ceil(box.y_max))
        inside[rows, math.floor(box.x_min) : math.ceil(box.x_max)] = True
    if not inside.any():
        raise InvalidInput(
            "there is no hole to fill: give rectangles, or a mask with bright pixels",
            field="inpainting.mask" if parameters.mask is not None else "inpainting.rectangles",
        )
    if inside.all():
        raise InvalidInput(
            "the holes cover the whole image: leave something to fill them from",
            field="inpainting",
        )
    return inside


def _check(box: Box, size: Size, field: str) -> None:
    corners = (box.x_min, box.y_min, box.x_max, box.y_max)
    if not all(map(math.isfinite, corners)) or box.x_min >= box.x_max or box.y_min >= box.y_max:
        raise InvalidInput(
            f"the rectangle {corners} is empty: give x_min < x_max and y_min < y_max", field=field
        )
    if min(corners) < 0 or box.x_max > size.width or box.y_max > size.height:
        raise InvalidInput(
            f"the rectangle {corners} reaches out of the image, which is "
            f"{size.width} x {size.height}",
            field=field,
        )


def _shaped(mask: Array, port: Port) -> Array:
    """Height x width as float32 with the port's dimensions of batch and channel."""
    values = mask.astype(np.float32)
    if len(port.shape) == 3:
        return values[None]
    return values[None, ..., None] if port.shape[-1] == 1 else values[None, None]
