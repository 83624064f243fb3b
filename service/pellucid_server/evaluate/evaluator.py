"""How a task is judged: from an answer and an annotation to a row, from rows to a report."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Annotation, Sample
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.nearest import nearest
from pellucid_server.types import Array, Size, Task

LoadPicture = Callable[[str], Array]
"""Reads a picture of the data set by its path, as RGB; what has one channel or a palette may
come as its values, height x width, and a map of classes must."""


@dataclass(frozen=True)
class Options:
    """What evaluators are told."""

    labels: Sequence[str]
    """The model's class names, by index."""
    label_map: Mapping[str, str] = field(default_factory=dict)
    """Names of the data set to names of the model, where they differ."""
    threshold: float | None = None
    """From which confidence something counts as predicted; None: 0.5."""
    metrics: Sequence[str] = ()
    """Those wanted; empty: all."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of metrics, by name: `bins`; those that an evaluator does not know are not its own."""
    classes: Sequence[str] = ()
    """Names of the data set's classes, where it lists them."""
    multi_label: bool = False
    """The model's confidences are independent."""


class BadAnnotation(Exception):
    """An annotation that does not fit the model or the image; the message says why."""


class Evaluator(ABC):
    """Judges a model's answers of one task. Rows are all it needs: it can start anew from them.

    `row` may run in several threads at once; `add` and the rest in one.
    """

    task: ClassVar[Task]
    annotations: ClassVar[tuple[type[Annotation], ...]]
    """Kinds that it takes."""
    metric_names: ClassVar[tuple[str, ...]]
    """What `Options.metrics` may name; the first is the main one, the higher the better."""
    parameter_names: ClassVar[tuple[str, ...]] = ()
    """What it reads of `Options.parameters`."""

    def __init__(self, options: Options) -> None:
        """Raises InvalidInput where a metric, a parameter or the label map does not fit."""
        self.options = options
        for name in options.metrics:
            if name not in self.metric_names:
                known = nearest(name, self.metric_names)
                raise InvalidInput(f"{self.task} has no metric {name!r}.{known}", field="metrics")

    def wants(self, name: str) -> bool:
        """Whether a metric is asked for; `mae.price` is asked for with `mae`."""
        return not self.options.metrics or name.partition(".")[0] in self.options.metrics

    def wanted(self, metrics: Iterable[Metric]) -> tuple[Metric, ...]:
        """Those asked for."""
        return tuple(metric for metric in metrics if self.wants(metric.name))

    @abstractmethod
    def parameters(self) -> Any:
        """What the task is asked for: `types.ClassificationParameters` and so on."""

    def parameters_for(self, sample: Sample, load: LoadPicture) -> Any:
        """What the task is asked for of one image: inpainting needs its holes.

        Raises:
            BadAnnotation: the annotation does not say what the task needs.
        """
        del sample, load
        return self.parameters()

    @abstractmethod
    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        """Judges one answer: the task's result, or for classification the confidences, classes.

        `size` is that of the image as it is displayed; None: there is no image.

        Raises:
            BadAnnotation: the annotation does not fit.
        """

    @abstractmethod
    def add(self, row: Row) -> None:
        """Counts a row, in the order of the data set, but for those with a `reason`.

        Memory does not grow with rows, but for 26 bytes for each object detected.
        """

    @abstractmethod
    def running(self) -> tuple[Metric, ...]:
        """The metrics so far, those that cost next to nothing."""

    @abstractmethod
    def report(self) -> Report:
        """The report over the rows added; `images` and what follows are filled in elsewhere."""


EVALUATORS: dict[Task, type[Evaluator]] = {}
E = TypeVar("E", bound=type[Evaluator])


def register(evaluator: E) -> E:
    """Makes a class the one that judges its task."""
    EVALUATORS[evaluator.task] = evaluator
    return evaluator
