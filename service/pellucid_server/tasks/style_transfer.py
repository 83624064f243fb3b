from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import PositiveInt

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.resample import resample
from pellucid_server.imaging.resize import fit, pad, size_of, up_to_multiple
from pellucid_server.spec import Preprocess, Resize, image_layout
from pellucid_server.tasks.base import Prepared, register
from pellucid_server.tasks.options import read_options
from pellucid_server.tasks.pictures import PictureModel, PictureOptions, to_image
from pellucid_server.types import (
    ANY,
    Array,
    Box,
    Feeds,
    Image,
    ImageResult,
    Outputs,
    Port,
    Size,
    StyleTransferParameters,
    Task,
)

STYLES = ("style_index", "style_weights", "style_image")
MIDDLE = Preprocess(resize=Resize.CROP)


class StyleTransferOptions(PictureOptions):
    """How a restyled picture is made and read."""

    max_side: PositiveInt = 1024
    """Larger images are shrunk for a model that takes any size, and enlarged again."""


@register
@dataclass(frozen=True)
class StyleTransfer(PictureModel[StyleTransferParameters]):
    """The image in a style: a trained one, a mixture of them, or that of another image.

    The roles `style_weights` and `style_image` of the spec's `inputs` tell which the
    model takes; without either it has one style.
    """

    task = Task.STYLE_TRANSFER
    parameters = StyleTransferParameters

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights and self.weights.shape[-1:] in {(), (ANY,)}:
            raise InvalidInput(
                f"input {self.weights.name!r} has no fixed number of styles",
                field="inputs.style_weights",
            )

    @cached_property
    def options(self) -> StyleTransferOptions:
        """The `decode` section."""
        return read_options(StyleTransferOptions, self.spec.decode)

    @cached_property
    def weights(self) -> Port | None:
        """The input with a weight for each trained style."""
        return self.role("style_weights")

    @cached_property
    def style(self) -> Port | None:
        """The input with the image whose style to take."""
        return self.role("style_image")

    def prepare(self, image: Image, parameters: StyleTransferParameters) -> Prepared:
        style = self._style(parameters)
        if self.input_size is None:
            pixels, frame = self._as_it_is(image)
        else:
            pixels, frame = fit(image, self.input_size, self._covering)
        return Prepared({self.image.name: pixels[None], **style}, frame)

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: StyleTransferParameters
    ) -> ImageResult:
        placed = prepared.frame.place(self.pixels(outputs), interpolation="cubic")
        return ImageResult(to_image(placed), parameters.format)

    @property
    def _covering(self) -> Preprocess:
        """The spec's way of resizing, or stretching where it has none."""
        preprocess = self.spec.preprocess
        if preprocess.resize is not Resize.NONE:
            return preprocess
        return preprocess.model_copy(update={"resize": Resize.STRETCH})

    def _as_it_is(self, image: Image) -> tuple[Image, Frame]:
        preprocess, size = self.spec.preprocess, size_of(image)
        shrunk = _capped(size, self.options.max_side)
        padded = up_to_multiple(shrunk, preprocess.multiple_of)
        region = Box(
            0,
            0,
            padded.width * size.width / shrunk.width,
            padded.height * size.height / shrunk.height,
        )
        pixels = pad(resample(image, shrunk, preprocess.interpolation), padded)
        return pixels, Frame(size, padded, region)

    def _style(self, parameters: StyleTransferParameters) -> Feeds:
        given = [name for name in STYLES if getattr(parameters, name) is not None]
        if len(given) > 1:
            raise _wrong(given[1], f"{' and '.join(given)} are both set: set one of them")
        if self.style:
            return {self.style.name: self._style_pixels(self.style, parameters, *given)}
        if parameters.style_image is not None:
            raise _wrong(
                "style_image", f"the model has {self._count} styles of its own: set style_index"
            )
        mixture = self._mixture(parameters)
        return {self.weights.name: _shaped(mixture, self.weights)} if self.weights else {}

    @property
    def _count(self) -> int:
        return self.weights.shape[-1] if self.weights else 1

    def _style_pixels(
        self, port: Port, parameters: StyleTransferParameters, given: str = "style_image"
    ) -> Image:
        """The style's image, its middle where the model's input has another aspect."""
        if parameters.style_image is None:
            raise _wrong(given, "the model takes its style from an image: set style_image")
        size = _port_size(port, image_layout(self.spec, port))
        if size is None:
            return self._as_it_is(parameters.style_image)[0][None]
        return fit(parameters.style_image, size, MIDDLE)[0][None]

    def _mixture(self, parameters: StyleTransferParameters) -> Array:
        """A weight for each of the model's styles."""
        if parameters.style_weights is not None:
            return self._checked(parameters.style_weights)
        index = parameters.style_index or 0
        if not 0 <= index < self._count:
            raise _wrong("style_index", f"there is no style {index}: give 0 to {self._count - 1}")
        chosen = np.zeros(self._count, np.float32)
        chosen[index] = 1
        return chosen

    def _checked(self, given: tuple[float, ...]) -> Array:
        with np.errstate(over="ignore"):
            weights = np.array(given, np.float32)
        if len(weights) != self._count:
            raise _wrong("style_weights", f"{len(weights)} weights are given: give {self._count}")
        if not np.isfinite(weights).all():
            raise _wrong("style_weights", "a weight is not finite: give numbers")
        return weights


def _wrong(name: str, message: str) -> InvalidInput:
    return InvalidInput(message, field=f"style_transfer.{name}")


def _shaped(weights: Array, port: Port) -> Array:
    return weights.reshape([1 if extent == ANY else extent for extent in port.shape])


def _capped(size: Size, side: int) -> Size:
    factor = min(1.0, side / max(size))
    return Size(*(max(1, round(extent * factor)) for extent in size))


def _port_size(port: Port, layout: str) -> Size | None:
    height, width = port.shape[2:] if layout == "NCHW" else port.shape[1:3]
    return None if ANY in {height, width} else Size(height, width)
