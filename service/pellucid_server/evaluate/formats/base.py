"""What a format of data sets is, and the table of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import (
    Annotation,
    Flaw,
    Holes,
    LabelMap,
    Labels,
    Objects,
    Picture,
    Sample,
    Values,
)
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.formats.common.listing import shown
from pellucid_server.nearest import nearest
from pellucid_server.types import Task

KINDS: Mapping[Task, type[Annotation]] = {
    Task.CLASSIFICATION: Labels,
    Task.DETECTION: Objects,
    Task.INSTANCE_SEGMENTATION: Objects,
    Task.SEMANTIC_SEGMENTATION: LabelMap,
    Task.SUPER_RESOLUTION: Picture,
    Task.STYLE_TRANSFER: Picture,
    Task.INPAINTING: Holes,
    Task.REGRESSION: Values,
}
"""The kind of annotation that each task needs."""


class Parameters(BaseModel):
    """What a caller may set of a format: one subclass a format that has any."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Parameters)


class Format(ABC, Generic[P]):
    """A layout of data sets. It reads lazily: memory does not grow with the set."""

    name: ClassVar[str]
    description: ClassVar[str]
    """What it expects, in a line."""
    tasks: ClassVar[tuple[Task, ...]]
    """Tasks that it has annotations for."""
    parameters_type: ClassVar[type[Parameters]] = Parameters

    @abstractmethod
    def detect(self, files: Files) -> bool:
        """Whether a set is of this format without doubt, from names and headers alone."""

    @abstractmethod
    def rows(self, files: Files, task: Task, parameters: P) -> Iterator[Sample | Flaw]:
        """As `read`, which adds what all formats have in common."""

    def classes(self, files: Files, task: Task, parameters: P) -> tuple[str, ...]:
        """Names of the classes, where the set tells them without being read; else empty."""
        del files, task, parameters
        return ()

    def read(self, files: Files, task: Task, parameters: P) -> Iterator[Sample | Flaw]:
        """The rows of a set in an order that does not change, annotated for a task.

        A wrong annotation is a `Flaw`, and reading goes on.

        Raises:
            InvalidInput: the set has no row, is not of this format, or a list that all rows
                depend on cannot be read.
            Overloaded: the storage fails; this may be raised by any later row.
        """
        rows = self.rows(files, task, parameters)
        first = next(rows, None)
        if first is None:
            raise self.unfit(files, "has nothing to evaluate")
        return chain((first,), rows)

    def parse(self, values: Mapping[str, str], others: Collection[str] = ()) -> P:
        """The parameters, from those a caller set; those named in `others` are not for us.

        Raises:
            InvalidInput: a name is unknown, or a value wrong; `field` is `parameters[NAME]`.
        """
        own = {name: value for name, value in values.items() if name not in others}
        try:
            parameters: Any = self.parameters_type.model_validate(own)
        except ValidationError as error:
            raise self._wrong(error, others) from error
        return parameters  # type: ignore[no-any-return] # an object of `parameters_type` is a P

    def unfit(self, files: Files, problem: str) -> InvalidInput:
        """The error for a set that cannot be read in this format."""
        return InvalidInput(
            f"{files.name} {problem}. Format {self.name} expects {self.description}. "
            f"At the root there are {shown(files)}",
            field=FIELD,
        )

    def _wrong(self, error: ValidationError, others: Collection[str]) -> InvalidInput:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            known = nearest(name, [*self.parameters_type.model_fields, *others])
            message = f"format {self.name} has no parameter {name!r}.{known}"
        else:
            message = f"{name} is {first['input']!r}: {first['msg']}"
        return InvalidInput(message, field=f"parameters[{name}]")


AnyFormat = Format[Any]
FORMATS: dict[str, AnyFormat] = {}
F = TypeVar("F", bound=type[AnyFormat])


def register(name: str) -> Callable[[F], F]:
    """Makes a class the format of that name."""

    def add(kind: F) -> F:
        kind.name = name
        FORMATS[name] = kind()
        return kind

    return add
