import base64
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.evaluator import LoadPicture, Options
from pellucid_server.evaluate.evaluators.confidences import ConfidenceEvaluator, rank
from pellucid_server.evaluate.metrics.counts import Counts
from pellucid_server.evaluate.metrics.multi_label import METRICS, MultiLabelTally
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.types import Size

SINGLE = np.dtype("<f4")


class MultiLabel(ConfidenceEvaluator):
    """The classes from the threshold on are right where they are the annotated ones.

    A row's `annotated` is the annotated class that the model is least confident of, its
    `score` the F1 of the image. `detail` has the classes `predicted` and `annotated`, and
    all `confidences` as base64 of little-endian single precision.
    """

    metric_names = METRICS

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._threshold = 0.5 if options.threshold is None else options.threshold
        self._tally = MultiLabelTally(options.labels)

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        del load, size
        confidences = np.asarray(answer)
        predicted = np.flatnonzero(confidences >= self._threshold).tolist()
        detail: dict[str, Any] = {
            "confidences": base64.b64encode(confidences.astype(SINGLE).tobytes()).decode(),
            "predicted": predicted,
        }
        top = self.category(int(confidences.argmax()), confidences)
        row = Row(index, sample.path, predicted=top, detail=detail)
        if sample.annotation is None:
            return row
        annotated = sorted(self.annotated(sample, confidences))
        row = replace(row, detail=detail | {"annotated": annotated})
        return self._hardest(self._judged(row, set(predicted), set(annotated)), confidences)

    def add(self, row: Row) -> None:
        detail: Any = row.detail
        confidences = np.frombuffer(base64.b64decode(detail["confidences"]), SINGLE)
        if "annotated" in detail:
            self._tally.add(confidences, detail["predicted"], detail["annotated"])
        else:
            self._tally.add_unknown(confidences, detail["predicted"])

    def running(self) -> tuple[Metric, ...]:
        return self.wanted(self._tally.running())

    def report(self) -> Report:
        report = self._tally.report()
        return replace(report, metrics=self.wanted(report.metrics))

    def _judged(self, row: Row, predicted: set[int], annotated: set[int]) -> Row:
        counts = Counts(len(predicted & annotated), len(predicted), len(annotated))
        return replace(
            row,
            correct=predicted == annotated,
            score=counts.f1 if predicted or annotated else 1.0,
            missed=len(annotated - predicted),
            extra=len(predicted - annotated),
        )

    def _hardest(self, row: Row, confidences: Any) -> Row:
        annotated: Any = row.detail["annotated"]
        if not annotated:
            return row
        hardest = max(annotated, key=lambda each: rank(each, confidences))
        return replace(
            row, annotated=self.category(hardest, confidences), rank=rank(hardest, confidences)
        )
