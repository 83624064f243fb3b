from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pellucid_server.tasks.decoders.base import Candidates, Decoder, Fraction, register
from pellucid_server.tasks.decoders.boxes import class_numbers, floats, from_unit
from pellucid_server.tasks.decoders.roles import NamedOutputs, Role, find, need, ranked
from pellucid_server.types import Array, Outputs, Port, Size


class SsdOptions(NamedOutputs):
    """How the model writes boxes and classes."""

    iou_threshold: Fraction | None = None
    label_offset: int = 0
    """Subtracted from the model's class ids: 1 where its 0 is the background."""
    normalized: bool | None = None
    """Boxes are shares of the input; by default so in the layouts that say so below."""
    y_first: bool | None = None
    """Boxes are (y_min, x_min, y_max, x_max); by default so for `detection_boxes`."""


@register("ssd")
@dataclass(frozen=True)
class Ssd(Decoder[SsdOptions]):
    """Detectors that suppress by themselves, and say the best class of each box.

    - `DetectionOutput` of OpenVINO: 1 x 1 x N x 7 of (image_id, class, confidence, x_min,
      y_min, x_max, y_max), normalized; a negative image_id ends the list.
      docs.openvino.ai, operation DetectionOutput-8
    - OpenVINO Training Extensions: boxes N x 5 (x_min, y_min, x_max, y_max, confidence) in
      pixels of the input, labels N; without labels every class is 0.
      `BoxesLabelsParser` of github.com/open-edge-platform/model_api
    - TensorFlow Object Detection: detection_boxes N x 4, normalized, y first, with
      detection_scores N, detection_classes N and num_detections.
      `exporter_lib_v2` of github.com/tensorflow/models
    - torchvision and others: boxes N x 4 in pixels of the input, scores N, labels N.

    All may have a batch dimension of 1.
    """

    options_type = SsdOptions

    def __post_init__(self) -> None:
        _ = self.ports

    @cached_property
    def ports(self) -> Mapping[Role, Port]:
        """The outputs that are read, by role; `boxes` alone for DetectionOutput."""
        ports, named = self.outputs, self.options.outputs
        if len(ports) == 1 and ranked(4, last=[7])(ports[0]):
            return {"boxes": ports[0]}
        boxes = need("boxes", ports, named, ranked(2, 3, last=[4, 5]))
        rest = [port for port in ports if port is not boxes]
        found: dict[Role, Port | None] = {"boxes": boxes}
        found["count"] = find("count", rest, named, _counts)
        values = [port for port in rest if port is not found["count"]]
        if boxes.shape[-1] != 5:
            found["scores"] = need("scores", values, named, ranked(1, 2))
        values = [port for port in values if port is not found.get("scores")]
        if any(map(ranked(1, 2), values)):
            found["labels"] = need("labels", values, named, ranked(1, 2))
        return {role: port for role, port in found.items() if port}

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        if len(self.ports["boxes"].shape) == 4:
            return self._detection_output(outputs, size)
        found = self.read(outputs, size)
        if count := self.ports.get("count"):
            return found.take(np.arange(len(found.boxes)) < outputs[count.name].reshape(-1)[0])
        return found

    def read(self, outputs: Outputs, size: Size) -> Candidates:
        """All rows of separate outputs."""
        read = {role: outputs[port.name] for role, port in self.ports.items()}
        boxes = floats(read["boxes"]).reshape(-1, read["boxes"].shape[-1])
        scores = boxes[:, 4] if boxes.shape[1] == 5 else floats(read["scores"]).reshape(-1)
        labels = read.get("labels", np.full(len(boxes), self.options.label_offset))
        return self._candidates(boxes[:, :4], scores, labels, size)

    def _detection_output(self, outputs: Outputs, size: Size) -> Candidates:
        rows = floats(outputs[self.ports["boxes"].name]).reshape(-1, 7)
        rows = rows[np.cumsum(rows[:, 0] < 0) == 0]
        return self._candidates(rows[:, 3:], rows[:, 2], rows[:, 1], size)

    def _candidates(self, boxes: Array, scores: Array, labels: Array, size: Size) -> Candidates:
        port, options = self.ports["boxes"], self.options
        tensorflow = "detection_boxes" in port.name
        normalized = tensorflow or len(port.shape) == 4
        if tensorflow if options.y_first is None else options.y_first:
            boxes = boxes[:, [1, 0, 3, 2]]
        if normalized if options.normalized is None else options.normalized:
            boxes = from_unit(boxes, size)
        return Candidates(boxes, scores, class_numbers(labels, options.label_offset))


def _counts(port: Port) -> bool:
    """One number, of an unmistakable name."""
    return len(port.shape) <= 2 and "num_detections" in port.name
