"""What a task is: how an image becomes feeds, and outputs become a result."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.spec import ModelSpec, image_input, image_size
from pellucid_server.types import Array, Feeds, Image, Infer, Outputs, Port, Size, Task

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Prepared:
    """Feeds for one image, and how the model's pixels lie on it."""

    feeds: Feeds
    frame: Frame


@dataclass(frozen=True)
class TaskModel(ABC, Generic[P, R]):
    """A task bound to one model: NumPy in, NumPy out.

    The image input takes uint8, 1 x height x width x 3 RGB: colour order, mean, scale
    and layout are part of the served graph (`preprocess` of the spec). Other inputs
    are as the model has them.
    """

    spec: ModelSpec
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    task: ClassVar[Task]
    parameters: ClassVar[type[Any]]

    @property
    def image(self) -> Port:
        """The input that takes the image."""
        return image_input(self.spec, self.inputs)

    @property
    def input_size(self) -> Size | None:
        """The size of the image input; None where it takes any."""
        return image_size(self.spec, self.image)

    @abstractmethod
    def prepare(self, image: Image, parameters: P) -> Prepared:
        """Fits an image to the model's input."""

    @abstractmethod
    def read(self, outputs: Outputs, prepared: Prepared, parameters: P) -> R:
        """Turns the outputs for one image into a result in its pixels."""

    def predict(self, image: Image, parameters: P, infer: Infer) -> R:
        """One image through the model; tasks that need several runs override it."""
        prepared = self.prepare(image, parameters)
        return self.read(infer(prepared.feeds), prepared, parameters)

    def scores(self, outputs: Outputs) -> Array:
        """Confidences, batch x classes: what explanations attribute.

        Raises:
            InvalidInput: the task has no classes of the whole image.
        """
        del outputs
        raise InvalidInput(f"{self.task} has no class scores to explain", field="method")
