from collections.abc import Sequence
from typing import Any

from pellucid_server.evaluate.evaluator import register
from pellucid_server.evaluate.evaluators.objects import ASKED, ObjectEvaluator
from pellucid_server.types import Detection, Instance, InstanceSegmentationParameters, Task


@register
class InstanceSegmentationEvaluator(ObjectEvaluator):
    """Objects by their masks."""

    task = Task.INSTANCE_SEGMENTATION
    masks = True

    def parameters(self) -> InstanceSegmentationParameters:
        return InstanceSegmentationParameters(detection=ASKED)

    def objects(self, answer: Any) -> Sequence[Detection | Instance]:
        found: Sequence[Instance] = answer.instances
        return found
