from pellucid_server.evaluate.evaluator import register
from pellucid_server.evaluate.evaluators.pictures import PictureEvaluator
from pellucid_server.types import StyleTransferParameters, Task


@register
class StyleTransferEvaluator(PictureEvaluator):
    """Restyled pictures beside those of the same style."""

    task = Task.STYLE_TRANSFER

    def parameters(self) -> StyleTransferParameters:
        return StyleTransferParameters()
