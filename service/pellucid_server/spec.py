"""What `model.yaml` says of a model: its task, preprocessing, decoding and labels."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from pellucid_server.errors import InvalidInput
from pellucid_server.types import ANY, Port, Size, Task

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
"""Names of models and aliases: safe in paths, addresses and metrics."""

PositiveFiniteFloat = Annotated[FiniteFloat, Field(gt=0)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Resize(StrEnum):
    """How an image becomes as large as the model's input."""

    STRETCH = "stretch"
    """To the input's size, whatever the aspect."""
    CROP = "crop"
    """The largest centred rectangle of the input's aspect, times `crop_fraction`."""
    LETTERBOX = "letterbox"
    """The whole image, centred, padded with `pad_value`."""
    LETTERBOX_TOP_LEFT = "letterbox_top_left"
    """The whole image in the top left corner, padded with `pad_value`."""
    NONE = "none"
    """As it is, padded at the right and the bottom to a multiple of `multiple_of`."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocess(_Section):
    """How an RGB image of 0 to 255 becomes the model's input: (x - mean) / scale."""

    input: str | None = None
    """The image's input; by default the only one, or the first of four dimensions."""
    layout: Literal["NCHW", "NHWC"] | None = None
    """By default guessed from the input's shape."""
    color: Literal["RGB", "BGR", "GRAY"] = "RGB"
    mean: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)] = (0.0,)
    """In units of 0 to 255; one value, or one for each channel."""
    scale: Annotated[tuple[PositiveFiniteFloat, ...], Field(min_length=1)] = (1.0,)
    """In units of 0 to 255; one value, or one for each channel."""
    resize: Resize = Resize.STRETCH
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    interpolation: Literal["linear", "cubic", "area", "nearest"] = "linear"
    """For enlarging; shrinking always averages, except with `nearest`."""
    pad_value: Annotated[int, Field(ge=0, le=255)] = 0
    size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width, for models whose input takes any."""
    multiple_of: PositiveInt = 1


class ModelSpec(_Section):
    """A model as its owner describes it."""

    task: Task = Task.RAW
    description: str = ""
    labels: tuple[str, ...] = ()
    """In `model.yaml` a list, or the name of a text file beside it, one label a line."""
    preprocess: Preprocess = Preprocess()
    inputs: dict[str, str] = Field(default_factory=dict)
    """Role to input name, for models with more than an image: `mask`, `style_image`,
    `style_weights`."""
    decode: dict[str, Any] = Field(default_factory=dict)
    """How outputs are read: `type` names the decoder, the rest are its options."""
    target_layer: str | None = None
    """The layer whose activations explain the model, by its friendly name."""
    aliases: tuple[Name, ...] = ()
    """Other names of the model; a folder's name and the first to claim one win."""
    versions: tuple[PositiveInt, ...] = ()
    """Versions to serve; empty: the newest that works."""
    default_version: PositiveInt | None = None
    """The version that answers where a call names none; by default the newest."""
    precision: Literal["f32", "bf16", "f16"] | None = None
    """Precision of inference; by default the server's."""
    streams: PositiveInt | None = None
    """Inferences at once on a CPU; by default the server's."""
    pinned: bool = False
    """Stays compiled, whatever the budget of memory."""

    @model_validator(mode="after")
    def _default_is_served(self) -> Self:
        if self.default_version and self.versions and self.default_version not in self.versions:
            raise ValueError(
                f"default_version {self.default_version} is not one of versions "
                f"{list(self.versions)}"
            )
        return self


def image_input(spec: ModelSpec, inputs: Sequence[Port]) -> Port:
    """The input that takes the image: named by the spec, or the only one of four dimensions.

    Raises:
        InvalidInput: the model has no such input; the message names those it has.
    """
    wanted = spec.preprocess.input
    taken = set(spec.inputs.values())
    for port in inputs:
        if port.name == wanted if wanted else len(port.shape) == 4 and port.name not in taken:
            return port
    names = ", ".join(f"{port.name} {list(port.shape)}" for port in inputs)
    problem = f"has no input {wanted!r}" if wanted else "has no image input of four dimensions"
    raise InvalidInput(f"the model {problem}: it has {names}", field="preprocess.input")


def image_layout(spec: ModelSpec, port: Port) -> Literal["NCHW", "NHWC"]:
    """The layout of the image input: of the spec, or where its 1 or 3 channels stand."""
    if spec.preprocess.layout:
        return spec.preprocess.layout
    return "NHWC" if port.shape[3] in {1, 3} and port.shape[1] not in {1, 3} else "NCHW"


def image_size(spec: ModelSpec, port: Port) -> Size | None:
    """The input's size, of the spec or of the model; None where it takes any."""
    if spec.preprocess.size:
        return Size(*spec.preprocess.size)
    height, width = port.shape[2:] if image_layout(spec, port) == "NCHW" else port.shape[1:3]
    return None if ANY in {height, width} else Size(height, width)
