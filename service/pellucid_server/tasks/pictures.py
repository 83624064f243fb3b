"""What the tasks that answer with a picture share."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, FiniteFloat, model_validator

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.tasks.base import Prepared, TaskModel
from pellucid_server.tasks.objectives import Wanted
from pellucid_server.tasks.objectives.pictures import Answer, Pictures
from pellucid_server.tasks.objectives.places import cells
from pellucid_server.tasks.options import Options
from pellucid_server.tasks.planes import Layout, channel_axis, channels_first
from pellucid_server.types import ANY, Array, Image, ImageResult, Outputs, Size

P = TypeVar("P")
CHANNELS = {1, 3, ANY}


def _from_zero(value: Any) -> Any:
    return (0, value) if isinstance(value, int | float) else value


class PictureOptions(Options):
    """How a picture is read from an output."""

    output: str | None = None
    """The output with the picture; by default the only one."""
    output_range: Annotated[tuple[FiniteFloat, FiniteFloat], BeforeValidator(_from_zero)] = (0, 1)
    """The values of black and white; a single number: that of white."""
    layout: Layout | None = None
    """By default found from where the 1 or 3 channels are."""
    color: Literal["RGB", "BGR"] | None = None
    """Order of the channels; by default that of the input."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.output_range[0] == self.output_range[1]:
            raise ValueError("black and white have the same value")
        return self


@dataclass(frozen=True)
class PictureModel(TaskModel[P, ImageResult], Generic[P]):
    """A task that answers with a picture."""

    answer: ClassVar[str] = "the picture"
    """What all of its answer is called."""

    def __post_init__(self) -> None:
        self.check_whole_image()
        port = self.output(self.options.output)
        axis = channel_axis(port, self.options.layout, 3)
        if axis is not None and port.shape[axis] not in CHANNELS:
            raise InvalidInput(
                f"output {port.name!r} of shape {list(port.shape)} is no picture of 1 or 3 "
                "channels: set decode.output or decode.layout",
                field="decode.output",
            )

    @property
    @abstractmethod
    def options(self) -> PictureOptions:
        """The `decode` section."""

    def objective(
        self, outputs: Outputs, prepared: Prepared, parameters: P, wanted: Wanted
    ) -> Pictures:
        del parameters
        picture = self.pixels(outputs)
        answered = self.answered(prepared, Size(*picture.shape[:2]))
        answer = Answer(self.task, self.answer, picture, answered, prepared.frame)
        return answer.pictures(wanted, self.pixels)

    def answered(self, prepared: Prepared, size: Size) -> NDArray[np.bool_]:
        """Which pixels of an output of this size reach the caller."""
        return cells(prepared.frame, size)

    def pixels(self, outputs: Outputs) -> NDArray[np.float32]:
        """The picture in the output, height x width x 3, RGB of 0 to 255."""
        port, (black, white) = self.output(self.options.output), self.options.output_range
        axis = channel_axis(port, self.options.layout, 3)
        values = np.moveaxis(channels_first(outputs[port.name], axis), 0, 2)
        if not np.isfinite(values).all():
            raise InferenceFailed("the model's picture has values that are not finite")
        if (self.options.color or self.spec.preprocess.color) == "BGR":
            values = values[..., ::-1]
        scaled = (values.astype(np.float32) - black) * (255 / (white - black))
        shape = (*values.shape[:2], 3)
        return np.ascontiguousarray(np.broadcast_to(scaled.clip(0, 255), shape), np.float32)


def to_image(pixels: Array) -> Image:
    """Rounds RGB of 0 to 255."""
    return np.rint(pixels).clip(0, 255).astype(np.uint8)
