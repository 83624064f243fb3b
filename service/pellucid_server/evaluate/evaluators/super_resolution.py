from pellucid_server.evaluate.evaluator import register
from pellucid_server.evaluate.evaluators.pictures import PictureEvaluator
from pellucid_server.types import SuperResolutionParameters, Task


@register
class SuperResolutionEvaluator(PictureEvaluator):
    """Enlarged pictures beside those that were shrunk."""

    task = Task.SUPER_RESOLUTION

    def parameters(self) -> SuperResolutionParameters:
        return SuperResolutionParameters()
