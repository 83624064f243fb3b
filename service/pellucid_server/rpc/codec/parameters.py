"""Parameters of the tasks: one reader for each, in a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import common_pb2, inference_pb2
from pellucid_server.engine.sources import SourceReader
from pellucid_server.rpc.codec.choices import decode_format
from pellucid_server.rpc.codec.geometry import decode_box
from pellucid_server.rpc.codec.inputs import decode_input
from pellucid_server.types import (
    ClassificationParameters,
    DetectionParameters,
    Image,
    InpaintingParameters,
    InstanceSegmentationParameters,
    SemanticSegmentationParameters,
    StyleTransferParameters,
    SuperResolutionParameters,
    TaskParameters,
)

HALF = 3 * 255 // 2
"""Half of the sum of three channels."""


@dataclass(frozen=True)
class ParameterReader:
    """Reads the parameters of a request; pictures among them come from `sources`."""

    sources: SourceReader

    def read(self, request: inference_pb2.PredictRequest) -> TaskParameters | None:
        """The parameters; None where the request has none."""
        name = request.WhichOneof("parameters")
        return None if name is None else _READERS[name](self, getattr(request, name))

    def picture(self, message: common_pb2.Input, field: str) -> Image:
        """A picture that is a parameter."""
        return self.sources.image(decode_input(message, field), field)

    def mask(self, message: common_pb2.Input, field: str) -> NDArray[np.bool_]:
        """Where a picture is brighter than half."""
        brightness = self.picture(message, field).sum(axis=2, dtype=np.uint16)
        return np.asarray(brightness > HALF)


def _classification(
    _: ParameterReader, message: inference_pb2.ClassificationParameters
) -> ClassificationParameters:
    return ClassificationParameters(
        top_k=message.top_k or ClassificationParameters.top_k,
        min_confidence=message.min_confidence,
    )


def _detection(
    _: ParameterReader, message: inference_pb2.DetectionParameters
) -> DetectionParameters:
    return DetectionParameters(
        confidence_threshold=_optional(message, "confidence_threshold", None),
        iou_threshold=_optional(message, "iou_threshold", None),
        max_detections=message.max_detections,
        labels=tuple(message.labels),
    )


def _instance_segmentation(
    reader: ParameterReader, message: inference_pb2.InstanceSegmentationParameters
) -> InstanceSegmentationParameters:
    return InstanceSegmentationParameters(
        detection=_detection(reader, message.detection),
        mask_threshold=_optional(
            message, "mask_threshold", InstanceSegmentationParameters.mask_threshold
        ),
    )


def _semantic_segmentation(
    _: ParameterReader, message: inference_pb2.SemanticSegmentationParameters
) -> SemanticSegmentationParameters:
    return SemanticSegmentationParameters(
        threshold=_optional(message, "threshold", SemanticSegmentationParameters.threshold),
        probabilities=message.probabilities,
    )


def _super_resolution(
    _: ParameterReader, message: inference_pb2.SuperResolutionParameters
) -> SuperResolutionParameters:
    return SuperResolutionParameters(
        tile_size=message.tile_size or SuperResolutionParameters.tile_size,
        tile_overlap=_optional(message, "tile_overlap", SuperResolutionParameters.tile_overlap),
        format=decode_format(message.format, "super_resolution.format"),
    )


def _style_transfer(
    reader: ParameterReader, message: inference_pb2.StyleTransferParameters
) -> StyleTransferParameters:
    style = message.WhichOneof("style")
    weights = tuple(message.style_weights.weights) if style == "style_weights" else None
    picture = (
        reader.picture(message.style_image, "style_transfer.style_image")
        if style == "style_image"
        else None
    )
    return StyleTransferParameters(
        style_index=message.style_index if style == "style_index" else None,
        style_weights=weights,
        style_image=picture,
        format=decode_format(message.format, "style_transfer.format"),
    )


def _inpainting(
    reader: ParameterReader, message: inference_pb2.InpaintingParameters
) -> InpaintingParameters:
    return InpaintingParameters(
        rectangles=tuple(map(decode_box, message.rectangles)),
        mask=reader.mask(message.mask, "inpainting.mask") if message.HasField("mask") else None,
        format=decode_format(message.format, "inpainting.format"),
    )


def _optional(message: Any, name: str, default: Any) -> Any:
    return getattr(message, name) if message.HasField(name) else default


_READERS: Mapping[str, Callable[[ParameterReader, Any], TaskParameters]] = MappingProxyType(
    {
        "classification": _classification,
        "detection": _detection,
        "instance_segmentation": _instance_segmentation,
        "semantic_segmentation": _semantic_segmentation,
        "super_resolution": _super_resolution,
        "style_transfer": _style_transfer,
        "inpainting": _inpainting,
    }
)
