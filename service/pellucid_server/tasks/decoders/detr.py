from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.activations import sigmoid, softmax
from pellucid_server.tasks.decoders.base import Candidates, Decoder, register
from pellucid_server.tasks.decoders.boxes import floats, from_centers, from_unit
from pellucid_server.tasks.decoders.roles import NamedOutputs, need, ranked
from pellucid_server.types import ANY, Array, Outputs, Port, Size

Scores = Literal["softmax", "sigmoid", "probabilities"]


class DetrOptions(NamedOutputs):
    """What turns logits into confidences."""

    scores: Scores | None = None
    """By default `softmax` where there is a class more than labels (no object, the last),
    `sigmoid` where there are as many, `probabilities` where one output has all."""


@register("detr")
@dataclass(frozen=True)
class Detr(Decoder[DetrOptions]):
    """DETR and its kin: a set of boxes that needs no suppression.

    - DETR: logits 1 x Q x (classes + 1), boxes 1 x Q x 4.
      `post_process_object_detection` of DetrImageProcessor, github.com/huggingface/transformers
    - Deformable DETR, RT-DETR, D-FINE: logits 1 x Q x classes, boxes 1 x Q x 4; there too
    - RT-DETR of Ultralytics: 1 x Q x (4 + classes) with probabilities. `RTDETRDecoder.forward`
      in ultralytics/nn/modules/head.py of github.com/ultralytics/ultralytics

    Boxes are (center x, center y, width, height) as shares of the input.
    https://arxiv.org/abs/2005.12872
    """

    options_type = DetrOptions

    def __post_init__(self) -> None:
        classes = self.logits.shape[-1] if self.logits else self.boxes.shape[-1] - 4
        if ANY not in {classes, classes + 4}:
            self.activation(classes)

    @cached_property
    def boxes(self) -> Port:
        """The output with the boxes, and of a single output all else."""
        if len(self.outputs) == 1:
            return self.outputs[0]
        return need("boxes", self.outputs, self.options.outputs, ranked(3, last=[4]))

    @cached_property
    def logits(self) -> Port | None:
        """The output with the classes; None where they stand behind the boxes."""
        rest = [port for port in self.outputs if port is not self.boxes]
        return need("scores", rest, self.options.outputs, ranked(3)) if rest else None

    def activation(self, classes: int) -> Scores:
        """What turns the logits of so many classes into confidences.

        Raises:
            InvalidInput: neither the options nor the labels tell.
        """
        likely: dict[int, Scores] = {}
        if self.logits is None:
            likely = {classes: "probabilities"}
        elif self.labels:
            likely = {self.labels: "sigmoid", self.labels + 1: "softmax"}
        chosen = self.options.scores or likely.get(classes)
        if chosen is None:
            raise InvalidInput(
                f"the model has logits of {classes} classes and there are {self.labels} labels: "
                "set decode.scores to softmax (the last class is no object) or sigmoid",
                field="decode.scores",
            )
        self.check_classes(classes - (chosen == "softmax"))
        return chosen

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        boxes = _rows(outputs[self.boxes.name])
        values = _rows(outputs[self.logits.name]) if self.logits else boxes[:, 4:]
        scores = ACTIVATIONS[self.activation(values.shape[1])](values)
        return Candidates(from_unit(from_centers(boxes), size), scores, needs_nms=False)


def _rows(values: Array) -> Array:
    return floats(values).reshape(-1, values.shape[-1])


ACTIVATIONS: dict[Scores, Callable[[Array], Array]] = {
    "softmax": lambda logits: softmax(logits)[:, :-1],
    "sigmoid": sigmoid,
    "probabilities": lambda scores: scores,
}
