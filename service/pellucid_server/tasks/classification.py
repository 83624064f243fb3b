from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.activations import probabilities, sigmoid, softmax
from pellucid_server.tasks.base import Prepared, TaskModel, register
from pellucid_server.tasks.objectives import Wanted
from pellucid_server.tasks.objectives.classes import Classes, most_confident
from pellucid_server.tasks.options import Options, read_options
from pellucid_server.types import (
    Array,
    Category,
    ClassificationParameters,
    ClassificationResult,
    Image,
    Outputs,
    Port,
    Task,
)

CONFIDENCES: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "probabilities": lambda scores: scores,
}


class ClassificationOptions(Options):
    """How class scores are read."""

    type: Literal["softmax", "sigmoid", "probabilities"] = "softmax"
    """What turns the output into confidences; `probabilities`: nothing, it has them."""
    multi_label: bool | None = None
    """Confidences are independent; by default those of a sigmoid."""
    output: str | None = None
    """The output with the scores; by default the only one."""


@register
@dataclass(frozen=True)
class Classification(TaskModel[ClassificationParameters, ClassificationResult]):
    """Classes of a whole image."""

    task = Task.CLASSIFICATION
    parameters = ClassificationParameters
    reducible = True

    def __post_init__(self) -> None:
        self.check_labels(_classes(self.scores_output), f"output {self.scores_output.name!r}")

    @cached_property
    def options(self) -> ClassificationOptions:
        """The `decode` section."""
        return read_options(ClassificationOptions, self.spec.decode)

    @cached_property
    def scores_output(self) -> Port:
        """The output that has a score for every class."""
        return self.output(self.options.output)

    def prepare(self, image: Image, parameters: ClassificationParameters) -> Prepared:
        _check(parameters)
        return self.fit(image)

    def scores(self, outputs: Outputs) -> Array:
        """Confidences in float64, batch x classes."""
        raw = np.asarray(outputs[self.scores_output.name], np.float64)
        confidences = CONFIDENCES[self.options.type](raw.reshape(len(raw), -1))
        return probabilities(confidences, "set decode.type to softmax or sigmoid")

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: ClassificationParameters
    ) -> ClassificationResult:
        del prepared
        scores = self.scores(outputs)[0]
        categories = [
            Category(each, self.label(each), confidence)
            for each, confidence in _best(scores, parameters.top_k)
            if confidence >= parameters.min_confidence
        ]
        return ClassificationResult(tuple(categories), self.multi_label)

    @property
    def multi_label(self) -> bool:
        """Whether confidences are independent."""
        said = self.options.multi_label
        return self.options.type == "sigmoid" if said is None else said

    def objective(
        self,
        outputs: Outputs,
        prepared: Prepared,
        parameters: ClassificationParameters,
        wanted: Wanted,
    ) -> Classes:
        del prepared, parameters
        confidences = self.scores(outputs)[0]
        return Classes(most_confident(confidences, self.spec.labels, wanted), self.scores)


def _best(scores: Array, count: int) -> list[tuple[int, float]]:
    """The `count` highest (-1: all) and their classes, highest first; of equals, in order."""
    likely = np.arange(len(scores))
    if 0 < count < len(scores):
        ranked = scores.copy()
        ranked.partition(-count)
        likely = (scores >= ranked[-count]).nonzero()[0]
    order = likely[(-scores[likely]).argsort(kind="stable")]
    best = order if count < 0 else order[:count]
    return list(zip(best.tolist(), scores[best].tolist(), strict=True))


def _classes(port: Port) -> int:
    """The output's number of classes, or ANY."""
    extents = [extent for extent in port.shape[1:] if extent != 1]
    if len(port.shape) < 2 or len(extents) > 1:
        raise InvalidInput(
            f"output {port.name!r} of shape {list(port.shape)} is not batch x classes: "
            "set decode.output to one that is",
            field="decode.output",
        )
    return extents[0] if extents else 1


def _check(parameters: ClassificationParameters) -> None:
    if parameters.top_k < -1:
        raise InvalidInput(
            f"top_k is {parameters.top_k}: give a number of classes, or -1 for all",
            field="classification.top_k",
        )
    if not 0 <= parameters.min_confidence <= 1:
        raise InvalidInput(
            f"min_confidence is {parameters.min_confidence}: give a value from 0 to 1",
            field="classification.min_confidence",
        )
