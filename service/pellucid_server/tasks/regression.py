import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field, FiniteFloat

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.tasks.base import Prepared, TaskModel, register
from pellucid_server.tasks.objectives import Wanted
from pellucid_server.tasks.objectives.classes import Classes, in_order
from pellucid_server.tasks.options import Options, read_options
from pellucid_server.types import (
    ANY,
    Array,
    Feeds,
    Image,
    Outputs,
    Port,
    RegressionParameters,
    RegressionResult,
    Task,
)


def _several(value: object) -> object:
    return (value,) if isinstance(value, int | float) else value


Numbers = Annotated[tuple[FiniteFloat, ...], BeforeValidator(_several), Field(min_length=1)]


class RegressionOptions(Options):
    """How numbers are read: output x scale + mean."""

    output: str | None = None
    """The output with the numbers; by default the only one."""
    mean: Numbers = (0.0,)
    """One value, or one for each number."""
    scale: Numbers = (1.0,)
    """One value, or one for each number."""


@register
@dataclass(frozen=True)
class Regression(TaskModel[RegressionParameters, RegressionResult]):
    """Numbers of an image, or of a row of a table.

    A model of a table has one input of two dimensions, rows x features, that takes the
    features as they are.
    """

    task = Task.REGRESSION
    parameters = RegressionParameters
    reducible = True

    def __post_init__(self) -> None:
        count = _count(self.values_output)
        self.check_labels(count, f"output {self.values_output.name!r}")
        for name in ("mean", "scale"):
            given = len(getattr(self.options, name))
            if given > 1 and count not in {given, ANY}:
                raise InvalidInput(
                    f"decode.{name} has {given} values and output {self.values_output.name!r} "
                    f"{count}: give one, or one for each",
                    field=f"decode.{name}",
                )

    @cached_property
    def options(self) -> RegressionOptions:
        """The `decode` section."""
        return read_options(RegressionOptions, self.spec.decode)

    @cached_property
    def values_output(self) -> Port:
        """The output that has the numbers."""
        return self.output(self.options.output)

    @property
    def takes_features(self) -> bool:
        """Whether it takes rows of a table, not images."""
        return len(self.inputs) == 1 and len(self.inputs[0].shape) == 2

    def prepare(self, image: Image, parameters: RegressionParameters) -> Prepared:
        del parameters
        return self.fit(image)

    def feeds(self, features: Sequence[float]) -> Feeds:
        """A row of a table as the model takes it, for the model as its file has it.

        Raises:
            InvalidInput: the model takes images, or another number of features.
        """
        if not self.takes_features:
            raise InvalidInput("the model takes images, not rows of numbers", field="inputs")
        port = self.inputs[0]
        if port.shape[1] not in {len(features), ANY}:
            raise InvalidInput(
                f"{len(features)} features are given and the model takes {port.shape[1]}",
                field="inputs",
            )
        return {port.name: np.array([features], np.float32)}

    def read(
        self, outputs: Outputs, prepared: Prepared | None, parameters: RegressionParameters
    ) -> RegressionResult:
        del prepared, parameters
        return RegressionResult(tuple(self.values(outputs)[0].tolist()))

    def objective(
        self,
        outputs: Outputs,
        prepared: Prepared,
        parameters: RegressionParameters,
        wanted: Wanted,
    ) -> Classes:
        del prepared, parameters
        values = self.values(outputs)[0]
        return Classes(in_order(values, self.spec.labels, wanted), self.values)

    def values(self, outputs: Outputs) -> Array:
        """Numbers in float64, batch x outputs.

        Raises:
            InferenceFailed: one is not finite.
        """
        raw = np.asarray(outputs[self.values_output.name], np.float64)
        options = self.options
        values = raw.reshape(len(raw), -1) * options.scale + options.mean
        if not np.isfinite(values).all():
            raise InferenceFailed("the model gave a number that is not finite")
        return np.asarray(values)


def _count(port: Port) -> int:
    """How many numbers the output has, or ANY."""
    if not port.shape:
        raise InvalidInput(
            f"output {port.name!r} has no dimension of the batch: set decode.output to one "
            "that is batch x numbers",
            field="decode.output",
        )
    extents = port.shape[1:]
    return ANY if ANY in extents else math.prod(extents)
