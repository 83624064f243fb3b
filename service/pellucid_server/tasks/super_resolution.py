from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.resize import pad, size_of, up_to_multiple
from pellucid_server.tasks.base import Prepared, register
from pellucid_server.tasks.objectives import Wanted
from pellucid_server.tasks.objectives.places import checked, tile_around
from pellucid_server.tasks.options import read_options
from pellucid_server.tasks.pictures import PictureModel, PictureOptions, to_image
from pellucid_server.tasks.tiling import tiled
from pellucid_server.types import (
    Box,
    Image,
    ImageResult,
    Infer,
    Outputs,
    Size,
    SuperResolutionParameters,
    Task,
)

SMALLEST_TILE = 32
MOST_PIXELS = 2**20
"""Of an image that is explained at once."""


class SuperResolutionOptions(PictureOptions):
    """How an enlarged picture is read."""

    scale: PositiveInt
    """The output's pixels for one of the input, along each side."""


@register
@dataclass(frozen=True)
class SuperResolution(PictureModel[SuperResolutionParameters]):
    """The image at a higher resolution, tile by tile where it is large.

    A model whose input has a fixed size is run on tiles of that size, whatever
    `tile_size` says.
    """

    task = Task.SUPER_RESOLUTION
    parameters = SuperResolutionParameters

    @cached_property
    def options(self) -> SuperResolutionOptions:
        """The `decode` section."""
        return read_options(SuperResolutionOptions, self.spec.decode)

    def prepare(self, image: Image, parameters: SuperResolutionParameters) -> Prepared:
        """The whole image; the input shows it with its last row and column repeated."""
        self._check(parameters)
        size = size_of(image)
        wanted = self.input_size or up_to_multiple(size, self.spec.preprocess.multiple_of)
        frame = Frame(size, wanted, Box(0, 0, wanted.width, wanted.height))
        return Prepared({self.image.name: pad(image, wanted)[None]}, frame)

    def view(self, image: Image, parameters: SuperResolutionParameters, wanted: Wanted) -> Prepared:
        """The whole image, or of one that is larger than a tile the tile around the targets."""
        self._check(parameters)
        size, tile = size_of(image), self.tile(parameters)
        boxes = [
            checked(each.box, size, f"targets[{place}].box")
            for place, each in enumerate(wanted.targets)
            if each.box
        ]
        if size.height <= tile.height and size.width <= tile.width:
            return self.prepare(image, parameters)
        if not boxes:
            return self._whole(image, parameters)
        return self._part(image, parameters, tile_around(boxes, tile, size))

    def _part(
        self, image: Image, parameters: SuperResolutionParameters, place: tuple[slice, slice]
    ) -> Prepared:
        prepared = self.prepare(image[place], parameters)
        seen, (top, left) = prepared.frame.input, (each.start for each in place)
        region = Box(left, top, left + seen.width, top + seen.height)
        return Prepared(prepared.feeds, Frame(size_of(image), seen, region))

    def _whole(self, image: Image, parameters: SuperResolutionParameters) -> Prepared:
        size = size_of(image)
        if self.input_size or size.height * size.width > MOST_PIXELS:
            raise InvalidInput(
                f"the image is {size.width} x {size.height}, too large to be explained at once: "
                "choose a patch of it by its box",
                field="targets",
            )
        return self.prepare(image, parameters)

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: SuperResolutionParameters
    ) -> ImageResult:
        return ImageResult(to_image(self._enlarged(outputs, prepared)), parameters.format)

    def predict(
        self, image: Image, parameters: SuperResolutionParameters, infer: Infer
    ) -> ImageResult:
        self._check(parameters)
        tile = self.tile(parameters)
        if image.shape[0] <= tile.height and image.shape[1] <= tile.width:
            return super().predict(image, parameters, infer)

        def enlarge(part: Image) -> NDArray[np.float32]:
            prepared = self.prepare(part, parameters)
            return self._enlarged(infer(prepared.feeds), prepared)

        stripes = tiled(image, tile, parameters.tile_overlap, self.options.scale, enlarge)
        whole = np.concatenate([to_image(stripe) for stripe in stripes])
        return ImageResult(whole, parameters.format)

    def tile(self, parameters: SuperResolutionParameters) -> Size:
        """The tiles' size: of the parameters, or of the model's input where that is fixed."""
        return self.input_size or Size(parameters.tile_size, parameters.tile_size)

    def _enlarged(self, outputs: Outputs, prepared: Prepared) -> NDArray[np.float32]:
        """The picture of 0 to 255 without the padding."""
        pixels, scale = self.pixels(outputs), self.options.scale
        expected = Size(*(scale * extent for extent in prepared.frame.input))
        if size_of(pixels) != expected:
            raise InferenceFailed(
                f"the model made {pixels.shape[1]} x {pixels.shape[0]} pixels of "
                f"{prepared.frame.input.width} x {prepared.frame.input.height}: "
                f"decode.scale {scale} is wrong"
            )
        height, width = prepared.frame.image
        return pixels[: scale * height, : scale * width]

    def _check(self, parameters: SuperResolutionParameters) -> None:
        if parameters.tile_size < SMALLEST_TILE:
            raise InvalidInput(
                f"tile_size is {parameters.tile_size}: give {SMALLEST_TILE} or more",
                field="super_resolution.tile_size",
            )
        shorter = min(self.tile(parameters))
        if not 0 <= parameters.tile_overlap < shorter / 2:
            raise InvalidInput(
                f"tile_overlap is {parameters.tile_overlap}: give 0 or more, and less than "
                f"half of a tile of {shorter}",
                field="super_resolution.tile_overlap",
            )
