from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from faster_coco_eval.core import mask as coco

from pellucid.v1 import common_pb2, inference_pb2
from pellucid_server.engine.predict import Prediction, PredictResponse
from pellucid_server.imaging.encode import class_color
from pellucid_server.rpc.codec.results import encode_prediction, encode_response
from pellucid_server.types import (
    Array,
    Box,
    Category,
    ClassArea,
    ClassificationResult,
    Detection,
    DetectionResult,
    ImageResult,
    Instance,
    InstanceSegmentationResult,
    PictureFormat,
    RegressionResult,
    SemanticSegmentationResult,
    Size,
    TaskResult,
    Timing,
)

CAT = Category(1, "cat", 0.75)
BOX = Box(1, 2, 3, 4)


def encode(result: TaskResult | None, **raw: Array) -> inference_pb2.Prediction:
    return encode_prediction(Prediction(Size(20, 30), result, raw, Timing(0.5, 0.25)), {})


def pixels(data: bytes) -> PIL.Image.Image:
    return PIL.Image.open(BytesIO(data))


def test_times_and_size_travel_with_every_prediction() -> None:
    message = encode(None)
    assert (message.input_size.width, message.input_size.height) == (30, 20)
    assert message.timing.prepare.nanos == 500_000_000
    assert message.timing.queue.nanos == 250_000_000
    assert message.WhichOneof("result") is None


def test_tensors_have_no_size() -> None:
    message = encode_prediction(Prediction(None, None, {}, Timing()), {})
    assert not message.HasField("input_size")


def test_a_classification() -> None:
    message = encode(ClassificationResult((CAT,), multi_label=True)).classification
    assert message.multi_label
    (category,) = message.categories
    assert (category.class_id, category.label, category.confidence) == (1, "cat", 0.75)


def test_a_detection() -> None:
    (item,) = encode(DetectionResult((Detection(BOX, CAT),))).detection.detections
    assert (item.box.x_min, item.box.y_min, item.box.x_max, item.box.y_max) == (1, 2, 3, 4)
    assert item.category.label == "cat"


def test_an_instance_s_mask_comes_as_run_lengths_and_as_a_picture() -> None:
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 2:5] = True
    result = InstanceSegmentationResult((Instance(BOX, CAT, mask),))
    (item,) = encode(result).instance_segmentation.instances
    assert (item.mask.size.width, item.mask.size.height) == (6, 4)
    np.testing.assert_array_equal(np.asarray(pixels(item.mask.png)) == 255, mask)
    decoded = coco.decode({"size": [4, 6], "counts": item.mask.rle.encode()})
    np.testing.assert_array_equal(decoded == 1, mask)


def test_a_label_map_with_its_areas() -> None:
    labels = np.array([[0, 1, 1], [0, 0, 7]], np.uint16)
    result = SemanticSegmentationResult(labels, (ClassArea(CAT, 3, 0.5),))
    message = encode(result).semantic_segmentation
    np.testing.assert_array_equal(np.asarray(pixels(message.label_map.data)), labels)
    assert message.label_map.media_type == "image/png"
    (area,) = message.areas
    assert (area.pixels, area.share, area.color) == (3, 0.5, class_color(1))


def test_probabilities_come_as_a_tensor() -> None:
    probabilities = np.random.default_rng(0).random((2, 3, 4), np.float32)
    result = SemanticSegmentationResult(np.zeros((3, 4), np.uint16), (), probabilities)
    (tensor,) = encode(result).raw_outputs
    assert (tensor.name, tensor.datatype) == ("probabilities", "FP32")
    back = np.frombuffer(tensor.data, "<f4").reshape(list(tensor.shape))
    np.testing.assert_array_equal(back, probabilities)


@pytest.mark.parametrize(
    ("picture_format", "media_type"),
    [(PictureFormat.PNG, "image/png"), (PictureFormat.JPEG, "image/jpeg")],
)
def test_a_picture(picture_format: PictureFormat, media_type: str) -> None:
    image = np.full((4, 6, 3), (200, 100, 50), np.uint8)
    picture = encode(ImageResult(image, picture_format)).image.picture
    assert picture.media_type == media_type
    assert (picture.size.width, picture.size.height) == (6, 4)
    assert np.abs(np.asarray(pixels(picture.data)).astype(int) - image).max() <= 3


def test_numbers_keep_every_bit() -> None:
    values = (1.5, 0.1, -1e300)
    assert tuple(encode(RegressionResult(values)).regression.values) == values


def test_raw_outputs_have_the_model_s_datatypes() -> None:
    raw = {"y": np.zeros((1, 2), np.uint16)}
    response = PredictResponse("m", "1", (Prediction(None, None, raw, Timing()),))
    message = encode_response(response, {"y": "BF16"})
    (tensor,) = message.predictions[0].raw_outputs
    assert (tensor.name, tensor.datatype) == ("y", "BF16")
    assert isinstance(tensor, common_pb2.Tensor)


def test_every_result_of_the_contract_has_a_writer() -> None:
    from pellucid_server.rpc.codec.results import _WRITERS  # noqa: PLC0415 - a look inside

    oneof = inference_pb2.Prediction.DESCRIPTOR.oneofs_by_name["result"]
    assert {field for field, _ in _WRITERS.values()} == {field.name for field in oneof.fields}
    assert set(_WRITERS) == set(TaskResult.__args__)
