from dataclasses import replace
from typing import Any

import numpy as np

from pellucid_server.evaluate import parameters
from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, LoadPicture, Options
from pellucid_server.evaluate.evaluators.confidences import ConfidenceEvaluator, rank, ranked
from pellucid_server.evaluate.metrics.single_label import METRICS, SingleLabelTally
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.types import Array, Size

KEPT, DIGITS = 5, 6
"""Best classes that a row keeps, and digits of their confidences: 100 bytes of JSON."""


class SingleLabel(ConfidenceEvaluator):
    """The most confident class is right where it is the annotated one.

    A row's `detail` has in `top` the five best classes, each with the confidence in it to six
    digits; those of `predicted` and `annotated` are not rounded.
    """

    metric_names = METRICS
    parameter_names = ("bins",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        bins = parameters.whole(options, "bins", 15, 1, 1000)
        self._tally = SingleLabelTally(options.labels, bins)

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        del load, size
        confidences = np.asarray(answer)
        best = self.category(int(confidences.argmax()), confidences)
        row = Row(index, sample.path, predicted=best, detail={"top": _top(confidences)})
        if sample.annotation is None:
            return row
        found = self.annotated(sample, confidences)
        if len(found) != 1:
            raise BadAnnotation(
                f"the image has {len(found)} classes and the model gives one: set "
                "decode.multi_label in its model.yaml if its confidences are independent"
            )
        annotated = self.category(found[0], confidences)
        place = rank(found[0], confidences)
        return replace(
            row, annotated=annotated, rank=place, correct=place == 1, score=annotated.confidence
        )

    def add(self, row: Row) -> None:
        if row.predicted is None:
            return
        if row.annotated is None:
            self._tally.add_unknown(row.predicted)
        else:
            self._tally.add(row.predicted, row.annotated, row.rank)

    def running(self) -> tuple[Metric, ...]:
        return self.wanted(self._tally.running())

    def report(self) -> Report:
        report = self._tally.report()
        return replace(report, metrics=self.wanted(report.metrics))


def _top(confidences: Array) -> list[list[float]]:
    best = ranked(confidences)[:KEPT].tolist()
    return [[class_id, round(float(confidences[class_id]), DIGITS)] for class_id in best]
