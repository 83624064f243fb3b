import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pellucid_server.evaluate.annotations import Sample, Values
from pellucid_server.evaluate.evaluator import (
    BadAnnotation,
    Evaluator,
    LoadPicture,
    Options,
    register,
)
from pellucid_server.evaluate.metrics.regression import FIGURES, Errors
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.types import RegressionParameters, RegressionResult, Size, Task

MOST = 1e140
"""Beyond it sums of squares are not finite."""


@register
class RegressionEvaluator(Evaluator):
    """Numbers beside those that they should be.

    Of several outputs the metrics are means over them, and each has its own too: `mae.price`,
    by its label or else its index. A row's `score` is less its root mean squared error; its
    `detail` has `values` and `targets`.
    """

    task = Task.REGRESSION
    annotations = (Values,)
    metric_names = tuple(FIGURES)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._outputs: dict[int, Errors] = defaultdict(Errors)

    def parameters(self) -> RegressionParameters:
        return RegressionParameters()

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        del load, size
        result: RegressionResult = answer
        values = list(result.values)
        if sample.annotation is None:
            return Row(index, sample.path, detail={"values": values})
        if not isinstance(sample.annotation, Values):
            raise BadAnnotation("the annotation has no numbers")
        targets = list(sample.annotation.targets)
        _check(values, targets)
        errors = [(target - value) ** 2 for target, value in zip(targets, values, strict=True)]
        score = -math.sqrt(math.fsum(errors) / len(errors))
        return Row(index, sample.path, score=score, detail={"values": values, "targets": targets})

    def add(self, row: Row) -> None:
        detail: Any = row.detail
        if "targets" in detail:
            pairs = zip(detail["targets"], detail["values"], strict=True)
            for output, (target, value) in enumerate(pairs):
                self._outputs[output].add(target, value)

    def running(self) -> tuple[Metric, ...]:
        return self.wanted(self._metrics())

    def report(self) -> Report:
        return Report(self.running())

    def _metrics(self) -> Iterator[Metric]:
        for name, figure in FIGURES.items():
            values = {output: figure(errors) for output, errors in self._outputs.items()}
            known = {output: value for output, value in values.items() if value is not None}
            if known and len(known) == len(values):
                yield Metric(name, math.fsum(known.values()) / len(known))
            for output, value in known.items() if len(values) > 1 else ():
                yield Metric(f"{name}.{self._name(output)}", value)

    def _name(self, output: int) -> str:
        labels = self.options.labels
        return labels[output] if output < len(labels) else str(output)


def _check(values: list[float], targets: list[float]) -> None:
    if len(values) != len(targets):
        raise BadAnnotation(
            f"the annotation has {len(targets)} numbers and the model gives {len(values)}"
        )
    for what, numbers in (("annotation", targets), ("model", values)):
        for number in numbers:
            if not abs(number) <= MOST:
                raise BadAnnotation(f"the {what} says {number}: numbers must be within {MOST:g}")
