from collections.abc import Sequence
from typing import Any

from pellucid_server.evaluate.evaluator import register
from pellucid_server.evaluate.evaluators.objects import ASKED, ObjectEvaluator
from pellucid_server.types import Detection, DetectionParameters, Instance, Task


@register
class DetectionEvaluator(ObjectEvaluator):
    """Boxes with classes."""

    task = Task.DETECTION
    masks = False

    def parameters(self) -> DetectionParameters:
        return ASKED

    def objects(self, answer: Any) -> Sequence[Detection | Instance]:
        found: Sequence[Detection] = answer.detections
        return found
