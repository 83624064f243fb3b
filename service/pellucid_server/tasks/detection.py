from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.nearest import nearest
from pellucid_server.tasks.base import Prepared, TaskModel, register
from pellucid_server.tasks.decoders import AnyDecoder, Candidates, decoder_for
from pellucid_server.tasks.decoders.base import MOST
from pellucid_server.tasks.decoders.suppress import Limits, choose
from pellucid_server.tasks.objectives import Wanted
from pellucid_server.tasks.objectives.objects import Objects, Proposals
from pellucid_server.tasks.objectives.scene import Scene
from pellucid_server.types import (
    ANY,
    Box,
    Category,
    Detection,
    DetectionParameters,
    DetectionResult,
    Image,
    Outputs,
    Task,
)

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Detector(TaskModel[P, R]):
    """What detection and instance segmentation share."""

    masks: ClassVar[bool]
    field: ClassVar[str]
    """The path of the request's detection parameters."""

    def __post_init__(self) -> None:
        _ = self.decoder

    @cached_property
    def decoder(self) -> AnyDecoder:
        """What reads the outputs: `decode.type` of the spec."""
        return decoder_for(self.spec, self.outputs, masks=self.masks)

    @abstractmethod
    def detection(self, parameters: P) -> DetectionParameters:
        """The part of the parameters that says which objects to return."""

    def prepare(self, image: Image, parameters: P) -> Prepared:
        self.limits(parameters)
        return self.fit(image)

    def proposals(self, outputs: Outputs, prepared: Prepared, parameters: P) -> Proposals:
        """Every box that the model proposes within the image, clipped to it."""
        del parameters
        return self.proposed(self.candidates(outputs, prepared), prepared)

    def proposed(self, found: Candidates, prepared: Prepared) -> Proposals:
        """Candidates in pixels of the image, with a vector of classes for each."""
        named = found.class_ids
        known = 0 if named is None else int(named.max(initial=-1)) + 1
        boxes = prepared.frame.to_image(found.boxes).astype(np.float32)
        return Proposals(boxes, found.vectors(len(self.spec.labels) or known))

    def objective(
        self, outputs: Outputs, prepared: Prepared, parameters: P, wanted: Wanted
    ) -> Objects:
        found = self.objects(self.candidates(outputs, prepared), prepared, parameters)
        scene = Scene(
            self.task,
            tuple(found),
            self.proposals(outputs, prepared, parameters),
            prepared.frame,
            self.spec.labels,
            f"{self.field}.confidence_threshold",
            self.decoder.options.multi_label,
        )
        sought = scene.sought(wanted)
        return Objects(
            tuple(each.subject for each in sought),
            sought,
            lambda masked: self.proposals(masked, prepared, parameters),
            joined=all(port.shape[:1] == (1,) and ANY not in port.shape for port in self.outputs),
        )

    def candidates(self, outputs: Outputs, prepared: Prepared) -> Candidates:
        """Every box that the model proposes within the image, in pixels of the input."""
        found = self.decoder.candidates(outputs, prepared.frame.input)
        boxes = prepared.frame.to_image(found.boxes)
        visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return found.take(np.flatnonzero(visible))

    def objects(
        self, candidates: Candidates, prepared: Prepared, parameters: P
    ) -> Iterator[tuple[int, Detection]]:
        """The objects asked for by falling confidence, each with its row of the candidates."""
        chosen = choose(candidates, self.limits(parameters))
        boxes = prepared.frame.to_image(candidates.boxes[chosen.rows])
        for box, row, class_id, score in zip(
            boxes.tolist(), chosen.rows, chosen.class_ids.tolist(), chosen.scores, strict=True
        ):
            category = Category(class_id, self.label(class_id), min(float(score), 1.0))
            yield int(row), Detection(Box(*box), category)

    def limits(self, parameters: P) -> Limits:
        """What the caller asks for, and where nothing is said the model's defaults.

        Raises:
            InvalidInput: a threshold or a number is out of its range.
            NotFound: a label is not one of the model's.
        """
        asked, options = self.detection(parameters), self.decoder.options
        iou = self._fraction("iou_threshold", asked.iou_threshold)
        confidence = self._fraction("confidence_threshold", asked.confidence_threshold)
        if not 0 <= asked.max_detections <= MOST:
            raise InvalidInput(
                f"max_detections is {asked.max_detections}: give a number from 1 to {MOST}, "
                "or 0 for the model's default",
                field=f"{self.field}.max_detections",
            )
        return Limits(
            options.confidence_threshold if confidence is None else confidence,
            options.iou_threshold if iou is None else iou,
            asked.max_detections or options.max_detections,
            self._classes(asked.labels),
            options.multi_label,
        )

    def _fraction(self, name: str, value: float | None) -> float | None:
        if value is None or 0 <= value <= 1:
            return value
        raise InvalidInput(
            f"{name} is {value}: give a value from 0 to 1", field=f"{self.field}.{name}"
        )

    def _classes(self, labels: tuple[str, ...]) -> frozenset[int] | None:
        known = self.spec.labels
        for label in labels:
            if label not in known:
                raise NotFound(
                    f"the model has no label {label!r}.{nearest(label, known)}",
                    field=f"{self.field}.labels",
                )
        wanted = frozenset(index for index, label in enumerate(known) if label in labels)
        return wanted if labels else None


@register
@dataclass(frozen=True)
class ObjectDetection(Detector[DetectionParameters, DetectionResult]):
    """Boxes with classes."""

    task = Task.DETECTION
    parameters = DetectionParameters
    masks = False
    field = "detection"

    def detection(self, parameters: DetectionParameters) -> DetectionParameters:
        return parameters

    def read(
        self, outputs: Outputs, prepared: Prepared, parameters: DetectionParameters
    ) -> DetectionResult:
        candidates = self.candidates(outputs, prepared)
        found = self.objects(candidates, prepared, parameters)
        return DetectionResult(tuple(detection for _, detection in found))
