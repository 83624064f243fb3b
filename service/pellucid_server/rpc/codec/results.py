"""Results of the tasks: one writer for each, in a table."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pellucid.v1 import common_pb2, inference_pb2
from pellucid_server.engine.predict import Prediction, PredictResponse
from pellucid_server.imaging.encode import class_color
from pellucid_server.rpc.codec.durations import encode_duration
from pellucid_server.rpc.codec.geometry import encode_box, encode_category, encode_size
from pellucid_server.rpc.codec.pictures import binary_mask, label_map, picture
from pellucid_server.rpc.codec.tensors import encode_tensor, encode_tensors
from pellucid_server.types import (
    ClassArea,
    ClassificationResult,
    DetectionResult,
    ImageResult,
    InstanceSegmentationResult,
    RegressionResult,
    SemanticSegmentationResult,
    Timing,
)

PROBABILITIES = "probabilities"
"""Name of the tensor with every class's probability for every pixel."""


def encode_response(
    response: PredictResponse, datatypes: Mapping[str, str]
) -> inference_pb2.PredictResponse:
    """Predictions; `datatypes` are those of the model's outputs by name."""
    return inference_pb2.PredictResponse(
        model_name=response.model_name,
        model_version=response.model_version,
        predictions=[encode_prediction(item, datatypes) for item in response.predictions],
    )


def encode_prediction(
    prediction: Prediction, datatypes: Mapping[str, str]
) -> inference_pb2.Prediction:
    """What a model says of one input."""
    result = prediction.result
    message = inference_pb2.Prediction(
        raw_outputs=encode_tensors(prediction.raw_outputs, datatypes),
        timing=encode_timing(prediction.timing),
    )
    if prediction.input_size is not None:
        message.input_size.CopyFrom(encode_size(prediction.input_size))
    if result is not None:
        field, write = _WRITERS[type(result)]
        getattr(message, field).CopyFrom(write(result))
    if isinstance(result, SemanticSegmentationResult) and result.probabilities is not None:
        message.raw_outputs.append(encode_tensor(PROBABILITIES, result.probabilities))
    return message


def encode_timing(timing: Timing) -> common_pb2.Timing:
    """Where the time went."""
    return common_pb2.Timing(
        prepare=encode_duration(timing.prepare),
        queue=encode_duration(timing.queue),
        compute=encode_duration(timing.compute),
        postprocess=encode_duration(timing.postprocess),
    )


def _classification(result: ClassificationResult) -> inference_pb2.ClassificationResult:
    return inference_pb2.ClassificationResult(
        categories=map(encode_category, result.categories), multi_label=result.multi_label
    )


def _detection(result: DetectionResult) -> inference_pb2.DetectionResult:
    return inference_pb2.DetectionResult(
        detections=[
            inference_pb2.Detection(
                box=encode_box(item.box), category=encode_category(item.category)
            )
            for item in result.detections
        ]
    )


def _instance_segmentation(
    result: InstanceSegmentationResult,
) -> inference_pb2.InstanceSegmentationResult:
    return inference_pb2.InstanceSegmentationResult(
        instances=[
            inference_pb2.Instance(
                box=encode_box(item.box),
                category=encode_category(item.category),
                mask=binary_mask(item.mask),
            )
            for item in result.instances
        ]
    )


def _semantic_segmentation(
    result: SemanticSegmentationResult,
) -> inference_pb2.SemanticSegmentationResult:
    return inference_pb2.SemanticSegmentationResult(
        label_map=label_map(result.label_map), areas=map(_area, result.areas)
    )


def _area(area: ClassArea) -> inference_pb2.ClassArea:
    return inference_pb2.ClassArea(
        category=encode_category(area.category),
        pixels=area.pixels,
        share=area.share,
        color=class_color(area.category.class_id),
    )


def _image(result: ImageResult) -> inference_pb2.ImageResult:
    return inference_pb2.ImageResult(picture=picture(result.image, result.format))


def _regression(result: RegressionResult) -> inference_pb2.RegressionResult:
    return inference_pb2.RegressionResult(values=result.values)


_WRITERS: Mapping[type, tuple[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        ClassificationResult: ("classification", _classification),
        DetectionResult: ("detection", _detection),
        InstanceSegmentationResult: ("instance_segmentation", _instance_segmentation),
        SemanticSegmentationResult: ("semantic_segmentation", _semantic_segmentation),
        ImageResult: ("image", _image),
        RegressionResult: ("regression", _regression),
    }
)
