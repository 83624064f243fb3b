"""What a task is: how an image becomes feeds, and outputs become a result."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.resize import fit
from pellucid_server.nearest import nearest
from pellucid_server.spec import ModelSpec, Resize, image_input, image_size
from pellucid_server.tasks.objectives import Objective, Wanted
from pellucid_server.types import ANY, Feeds, Image, Infer, Outputs, Port, Size, Task

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
    reducible: ClassVar[bool] = False
    """Whether results have no pixels of the image, so that it may be decoded smaller."""

    def label(self, class_id: int) -> str:
        """The name of a class; empty where the spec has no labels."""
        return self.spec.labels[class_id] if class_id < len(self.spec.labels) else ""

    def check_labels(self, classes: int, where: str) -> None:
        """Compares the number of labels with that of classes, where both are known.

        Raises:
            InvalidInput: they differ.
        """
        labels = len(self.spec.labels)
        if labels and classes not in {labels, ANY}:
            raise InvalidInput(
                f"there are {labels} labels and {where} has {classes} classes: "
                "give a label for each class, or none",
                field="labels",
            )

    def check_whole_image(self) -> None:
        """Refuses crops, for tasks whose results cover every pixel.

        Raises:
            InvalidInput: the spec crops.
        """
        if self.spec.preprocess.resize is Resize.CROP:
            raise InvalidInput(
                f"resize: crop leaves pixels that {self.task} has no answer for: "
                "set stretch or letterbox",
                field="preprocess.resize",
            )

    @cached_property
    def image(self) -> Port:
        """The input that takes the image."""
        return image_input(self.spec, self.inputs)

    @cached_property
    def input_size(self) -> Size | None:
        """The size of the image input; None where it takes any."""
        return image_size(self.spec, self.image)

    def role(self, name: str) -> Port | None:
        """The input of a role (`mask`, `style_image`), where the spec names one.

        Raises:
            InvalidInput: the model has no input of the name in the spec.
        """
        wanted = self.spec.inputs.get(name)
        return self._port(wanted, self.inputs, f"inputs.{name}") if wanted else None

    def output(self, name: str | None = None) -> Port:
        """The output of this name, or the only one.

        Raises:
            InvalidInput: the model has no such output, or several where none is named.
        """
        if name is None and len(self.outputs) == 1:
            return self.outputs[0]
        return self._port(name or "", self.outputs, "decode.output")

    @staticmethod
    def _port(name: str, ports: Sequence[Port], field: str) -> Port:
        for port in ports:
            if port.name == name:
                return port
        problem = f"has no {name!r}" if name else "has several"
        known = nearest(name, (port.name for port in ports))
        raise InvalidInput(f"the model {problem}: set {field}.{known}", field=field)

    def fit(self, image: Image) -> Prepared:
        """The image alone, fitted as the spec says."""
        pixels, frame = fit(image, self.input_size, self.spec.preprocess)
        return Prepared({self.image.name: pixels[None]}, frame)

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

    def view(self, image: Image, parameters: P, wanted: Wanted) -> Prepared:
        """What an explanation looks at: what a prediction does, but for large images."""
        del wanted
        return self.prepare(image, parameters)

    @abstractmethod
    def objective(
        self, outputs: Outputs, prepared: Prepared, parameters: P, wanted: Wanted
    ) -> Objective:
        """What there is to explain in the outputs for a whole image.

        Raises:
            InvalidInput: the task has no such target.
            NotFound: the image has none.
        """


TASKS: dict[Task, type[TaskModel[Any, Any]]] = {}
T = TypeVar("T", bound=type[TaskModel[Any, Any]])


def register(model: T) -> T:
    """Makes a class the one that serves its task."""
    TASKS[model.task] = model
    return model
