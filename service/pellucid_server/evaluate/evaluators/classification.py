from typing import Any

from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.evaluator import Evaluator, LoadPicture, Options, register
from pellucid_server.evaluate.evaluators.multi_label import MultiLabel
from pellucid_server.evaluate.evaluators.single_label import SingleLabel
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.types import Size, Task


@register
class Classification(Evaluator):
    """Classes of a whole image: one, or any number where `Options.multi_label` says so."""

    task = Task.CLASSIFICATION
    annotations = (Labels,)
    metric_names = tuple(dict.fromkeys((*SingleLabel.metric_names, *MultiLabel.metric_names)))
    parameter_names = SingleLabel.parameter_names

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._kind = MultiLabel(options) if options.multi_label else SingleLabel(options)

    def parameters(self) -> Any:
        return self._kind.parameters()

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        return self._kind.row(index, sample, answer, load, size)

    def add(self, row: Row) -> None:
        self._kind.add(row)

    def running(self) -> tuple[Metric, ...]:
        return self._kind.running()

    def report(self) -> Report:
        return self._kind.report()
