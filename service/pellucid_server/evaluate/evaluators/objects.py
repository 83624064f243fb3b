"""What the judges of detection and instance segmentation share."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pellucid_server.evaluate.annotations import Objects, Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, Evaluator, LoadPicture, Options
from pellucid_server.evaluate.evaluators.shapes import (
    Found,
    Truth,
    overlaps,
    pack,
    restored,
    unpack,
)
from pellucid_server.evaluate.match import matcher
from pellucid_server.evaluate.metrics.counts import Counts
from pellucid_server.evaluate.metrics.matching import compared, match
from pellucid_server.evaluate.metrics.objects import METRICS, ObjectTally
from pellucid_server.evaluate.report import NOTHING, Metric, Report, Row
from pellucid_server.types import Detection, DetectionParameters, Instance, Size

ASKED = DetectionParameters(confidence_threshold=0.001, max_detections=100)
"""As COCO's results have them: average precision takes unlikely objects too."""


class ObjectEvaluator(Evaluator):
    """Objects as COCO and VOC judge them, and at the threshold.

    A row's `detail` has `boxes` (x, y, width, height), `scores`, `classes` and `masks` of
    what was found, and in `truth` the same of what is annotated; every figure is computed
    from these. At the threshold an object is found where a predicted one of its class
    overlaps it by an IoU of 0.5; the more confident choose first. Those that are difficult
    or of a crowd count neither as found nor as missed.
    """

    annotations = (Objects,)
    metric_names = METRICS
    masks: ClassVar[bool]

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._matcher = matcher(options)
        self._threshold = 0.5 if options.threshold is None else options.threshold
        self._tally = ObjectTally(options.labels, self._threshold)

    @abstractmethod
    def objects(self, answer: Any) -> Sequence[Detection | Instance]:
        """The objects of an answer, highest confidence first."""

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        del load
        if size is None:
            raise BadAnnotation("there is no image")
        objects = self.objects(answer)
        if sample.annotation is None:
            return self._row(index, sample, objects, Found.of(objects, size, masks=self.masks))
        if not isinstance(sample.annotation, Objects):
            raise BadAnnotation("the annotation has no objects")
        truth = Truth.of(sample.annotation.objects, self._matcher.class_id, size, masks=self.masks)
        objects = self._looked_for(objects, sample.annotation.complete, truth)
        found = Found.of(objects, size, masks=self.masks)
        return self._judged(self._row(index, sample, objects, found), found, truth)

    def add(self, row: Row) -> None:
        detail: Any = row.detail
        if "truth" not in detail:
            self._tally.add_unknown(detail["classes"], detail["scores"])
            return
        pairs = zip(detail["confusion"][::2], detail["confusion"][1::2], strict=True)
        self._tally.add(unpack(detail["matches"]), restored(detail["truth"]), pairs)

    def running(self) -> tuple[Metric, ...]:
        return self.wanted(self._tally.running())

    def report(self) -> Report:
        report = self._tally.report()
        return replace(report, metrics=self.wanted(report.metrics))

    def _row(
        self, index: int, sample: Sample, objects: Sequence[Detection | Instance], found: Found
    ) -> Row:
        top = objects[0].category if objects else None
        seen = top if top and found.scores[0] >= self._threshold else None
        return Row(index, sample.path, predicted=seen, detail=found.detail())

    def _looked_for(
        self,
        objects: Sequence[Detection | Instance],
        complete: Sequence[str] | None,
        truth: Truth,
    ) -> Sequence[Detection | Instance]:
        """Without those of classes of which nobody knows whether they are in the image."""
        if complete is None:
            return objects
        known = {self._matcher.find(name) for name in complete}
        known |= set(truth.annotated.class_ids.tolist())
        return [each for each in objects if each.category.class_id in known]

    def _judged(self, row: Row, found: Found, truth: Truth) -> Row:
        ious = overlaps(found.shapes, truth.shapes, truth.annotated.crowd)
        matches = match(found.predicted(), truth.annotated, ious)
        pairs = compared(matches, truth.annotated, ious, self._threshold)
        right = sum(told == said for told, said in pairs)
        told = sum(each != NOTHING for each, _ in pairs)
        said = sum(each != NOTHING for _, each in pairs)
        return replace(
            row,
            correct=right == told == said,
            score=Counts(right, said, told).f1 if pairs else 1.0,
            missed=told - right,
            extra=said - right,
            detail={
                **row.detail,
                "truth": truth.detail(),
                "matches": pack(matches.records),
                "confusion": [each for pair in pairs for each in pair],
            },
        )
