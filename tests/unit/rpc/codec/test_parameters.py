from typing import Any, cast

import numpy as np
import pytest

from pellucid.v1 import common_pb2
from pellucid.v1 import inference_pb2 as pb
from pellucid_server.errors import InvalidInput
from pellucid_server.rpc.codec.parameters import ParameterReader
from pellucid_server.types import (
    Box,
    ClassificationParameters,
    DetectionParameters,
    EncodedImage,
    Image,
    InpaintingParameters,
    InstanceSegmentationParameters,
    PictureFormat,
    SemanticSegmentationParameters,
    Source,
    StyleTransferParameters,
    SuperResolutionParameters,
    TaskParameters,
)

IMAGE = common_pb2.Input(image=b"png")
DARK_TO_BRIGHT = np.array([[[0, 0, 0], [127, 128, 127], [128, 128, 127], [255, 255, 255]]])


class Sources:
    """Every image is four pixels, from dark to bright."""

    def image(self, source: Source, field: str) -> Image:
        assert source == EncodedImage(b"png")
        assert field in {"style_transfer.style_image", "inpainting.mask"}
        return DARK_TO_BRIGHT.astype(np.uint8)


def read(**parameters: Any) -> TaskParameters | None:
    return ParameterReader(cast("Any", Sources())).read(pb.PredictRequest(**parameters))


def test_no_parameters_are_none() -> None:
    assert read() is None


@pytest.mark.parametrize(
    ("given", "default"),
    [
        ({"classification": pb.ClassificationParameters()}, ClassificationParameters()),
        ({"detection": pb.DetectionParameters()}, DetectionParameters()),
        (
            {"instance_segmentation": pb.InstanceSegmentationParameters()},
            InstanceSegmentationParameters(),
        ),
        (
            {"semantic_segmentation": pb.SemanticSegmentationParameters()},
            SemanticSegmentationParameters(),
        ),
        ({"super_resolution": pb.SuperResolutionParameters()}, SuperResolutionParameters()),
        ({"style_transfer": pb.StyleTransferParameters()}, StyleTransferParameters()),
        ({"inpainting": pb.InpaintingParameters()}, InpaintingParameters()),
    ],
)
def test_what_is_unset_takes_the_task_s_defaults(
    given: dict[str, Any], default: TaskParameters
) -> None:
    assert read(**given) == default


def test_every_task_s_parameters_have_a_reader() -> None:
    from pellucid_server.rpc.codec.parameters import _READERS  # noqa: PLC0415 - a look inside

    oneof = pb.PredictRequest.DESCRIPTOR.oneofs_by_name["parameters"]
    assert set(_READERS) == {field.name for field in oneof.fields}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"classification": pb.ClassificationParameters(top_k=-1, min_confidence=0.5)},
            ClassificationParameters(-1, 0.5),
        ),
        (
            {
                "detection": pb.DetectionParameters(
                    confidence_threshold=0, iou_threshold=0.5, max_detections=3, labels=["cat"]
                )
            },
            DetectionParameters(0.0, 0.5, 3, ("cat",)),
        ),
        (
            {
                "instance_segmentation": pb.InstanceSegmentationParameters(
                    detection=pb.DetectionParameters(max_detections=2), mask_threshold=0.25
                )
            },
            InstanceSegmentationParameters(DetectionParameters(max_detections=2), 0.25),
        ),
        (
            {
                "semantic_segmentation": pb.SemanticSegmentationParameters(
                    threshold=0.25, probabilities=True
                )
            },
            SemanticSegmentationParameters(0.25, probabilities=True),
        ),
        (
            {
                "super_resolution": pb.SuperResolutionParameters(
                    tile_size=64, tile_overlap=0, format=common_pb2.PICTURE_FORMAT_JPEG
                )
            },
            SuperResolutionParameters(64, 0, PictureFormat.JPEG),
        ),
        (
            {"style_transfer": pb.StyleTransferParameters(style_index=0)},
            StyleTransferParameters(style_index=0),
        ),
        (
            {
                "style_transfer": pb.StyleTransferParameters(
                    style_weights=pb.StyleWeights(weights=[0.5, 1])
                )
            },
            StyleTransferParameters(style_weights=(0.5, 1.0)),
        ),
        (
            {
                "inpainting": pb.InpaintingParameters(
                    rectangles=[common_pb2.Box(x_min=1, y_min=2, x_max=3, y_max=4)]
                )
            },
            InpaintingParameters(rectangles=(Box(1, 2, 3, 4),)),
        ),
    ],
)
def test_what_is_set_arrives(given: dict[str, Any], expected: TaskParameters) -> None:
    assert read(**given) == expected


def test_a_mask_is_where_its_image_is_brighter_than_half() -> None:
    parameters = read(inpainting=pb.InpaintingParameters(mask=IMAGE))
    assert isinstance(parameters, InpaintingParameters)
    assert parameters.mask is not None
    assert parameters.mask.tolist() == [[False, False, True, True]]


def test_a_style_image_is_read() -> None:
    parameters = read(style_transfer=pb.StyleTransferParameters(style_image=IMAGE))
    assert isinstance(parameters, StyleTransferParameters)
    assert parameters.style_image is not None
    assert parameters.style_image.shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (
            {"super_resolution": pb.SuperResolutionParameters(format=cast("Any", 9))},
            "super_resolution.format",
        ),
        (
            {"style_transfer": pb.StyleTransferParameters(format=cast("Any", 9))},
            "style_transfer.format",
        ),
        ({"inpainting": pb.InpaintingParameters(format=cast("Any", 9))}, "inpainting.format"),
        (
            {"inpainting": pb.InpaintingParameters(mask=common_pb2.Input())},
            "inpainting.mask",
        ),
        (
            {"style_transfer": pb.StyleTransferParameters(style_image=common_pb2.Input())},
            "style_transfer.style_image",
        ),
    ],
)
def test_bad_parameters_are_refused_by_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(**given)
    assert caught.value.field == field
