"""Predictions: requests out of what callers pass, results out of responses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid._wire import common, masks
from pellucid._wire.inputs import to_input
from pellucid._wire.parameters import Parameters
from pellucid._wire.tensors import from_tensors
from pellucid.errors import InternalError
from pellucid.results import (
    AnyResult,
    ClassArea,
    ClassificationResult,
    Detection,
    DetectionResult,
    ImageResult,
    Instance,
    InstanceSegmentationResult,
    RawResult,
    RegressionResult,
    SemanticSegmentationResult,
)
from pellucid.types import InputLike, Task, Timing
from pellucid.v1 import inference_pb2 as pb


@dataclass(frozen=True)
class Query:
    """What a prediction asks for, but for the images."""

    model: str
    version: str
    raw_outputs: bool
    parameters: Parameters

    @property
    def needs_task(self) -> bool:
        """Whether the parameters alone do not tell the model's task."""
        return bool(self.parameters.given) and self.parameters.task is None

    def request(self, images: Sequence[InputLike], task: Task | None) -> pb.PredictRequest:
        """The request for some images; `task` is the model's where `needs_task`.

        Raises:
            TypeError: a parameter that the task does not take.
            InvalidArgumentError: a parameter or an image that is wrong.
            OSError: an image file that cannot be read.
        """
        request = pb.PredictRequest(
            model_name=self.model, model_version=self.version, raw_outputs=self.raw_outputs
        )
        request.inputs.extend(map(to_input, images))
        if self.parameters.given:
            self.parameters.write(request, task or self.parameters.task or Task.RAW)
        return request


def results(response: pb.PredictResponse, count: int) -> list[AnyResult]:
    """The results of a response to so many inputs, in their order.

    Raises:
        InternalError: the response contradicts itself or the request.
    """
    if len(response.predictions) != count:
        raise InternalError(f"{count} inputs were sent, {len(response.predictions)} came back")
    return [_result(each, response) for each in response.predictions]


def _result(prediction: pb.Prediction, response: pb.PredictResponse) -> AnyResult:
    kind = prediction.WhichOneof("result")
    read = _READERS[kind] if kind else _raw
    timing = prediction.timing
    return read(
        getattr(prediction, kind) if kind else None,
        {
            "model": response.model_name,
            "version": response.model_version,
            "input_size": common.size(prediction.input_size)
            if prediction.HasField("input_size")
            else None,
            "timing": Timing(
                common.seconds(timing.prepare),
                common.seconds(timing.queue),
                common.seconds(timing.compute),
                common.seconds(timing.postprocess),
            ),
            "outputs": from_tensors(prediction.raw_outputs),
        },
    )


Shared = Mapping[str, Any]


def _raw(_: None, shared: Shared) -> RawResult:
    return RawResult(**shared)


def _classification(message: pb.ClassificationResult, shared: Shared) -> ClassificationResult:
    categories = tuple(map(common.category, message.categories))
    return ClassificationResult(categories=categories, multi_label=message.multi_label, **shared)


def _detection(message: pb.DetectionResult, shared: Shared) -> DetectionResult:
    detections = tuple(
        Detection(common.box(each.box), common.category(each.category))
        for each in message.detections
    )
    return DetectionResult(detections=detections, **shared)


def _instances(
    message: pb.InstanceSegmentationResult, shared: Shared
) -> InstanceSegmentationResult:
    instances = tuple(
        Instance(
            common.box(each.box),
            common.category(each.category),
            masks.from_mask(each.mask),
            each.mask.rle,
        )
        for each in message.instances
    )
    return InstanceSegmentationResult(instances=instances, **shared)


def _semantic(message: pb.SemanticSegmentationResult, shared: Shared) -> SemanticSegmentationResult:
    label_map = np.asarray(masks.decode_picture(message.label_map.data))
    areas = tuple(
        ClassArea(
            common.category(each.category),
            each.pixels,
            each.share,
            (each.color >> 16 & 0xFF, each.color >> 8 & 0xFF, each.color & 0xFF),
        )
        for each in message.areas
    )
    return SemanticSegmentationResult(label_map=label_map, areas=areas, **shared)


def _image(message: pb.ImageResult, shared: Shared) -> ImageResult:
    picture = message.picture
    return ImageResult(
        data=picture.data,
        media_type=picture.media_type,
        size=common.size(picture.size),
        **shared,
    )


def _regression(message: pb.RegressionResult, shared: Shared) -> RegressionResult:
    return RegressionResult(values=tuple(message.values), **shared)


_READERS: Mapping[str, Callable[[Any, Shared], AnyResult]] = {
    "classification": _classification,
    "detection": _detection,
    "instance_segmentation": _instances,
    "semantic_segmentation": _semantic,
    "image": _image,
    "regression": _regression,
}
