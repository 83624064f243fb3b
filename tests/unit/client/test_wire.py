"""Inputs, tensors, masks and parameters, to the contract and back."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pellucid import Explanation, InternalError, InvalidArgumentError, Size, Task, Uri
from pellucid._wire.explanations import EventReader, explain_request
from pellucid._wire.inputs import open_image, to_input
from pellucid._wire.masks import decode_rle, from_mask
from pellucid._wire.parameters import PATHS, Parameters, TaskParameters
from pellucid._wire.tensors import DATATYPES, from_tensor, to_tensor
from pellucid.v1 import common_pb2, explanation_pb2, inference_pb2

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def decoded(message: common_pb2.Input) -> Any:
    return np.asarray(Image.open(io.BytesIO(message.image)))


@pytest.mark.parametrize(
    "pixels",
    [
        PIXELS,
        PIXELS[..., 0],
        PIXELS[..., :1],
        PIXELS[::2, ::-1],
        np.dstack([PIXELS, PIXELS[..., 0]]),
    ],
    ids=["colour", "grey", "one channel", "strided", "alpha"],
)
def test_pixels_arrive_unchanged(pixels: Any) -> None:
    np.testing.assert_array_equal(decoded(to_input(pixels)), np.squeeze(pixels))


def test_booleans_are_black_and_white() -> None:
    np.testing.assert_array_equal(decoded(to_input(np.array([[True, False]]))), [[255, 0]])


@pytest.mark.parametrize(
    "pixels",
    [
        PIXELS.astype(np.float32),
        PIXELS[None],
        PIXELS[..., :2],
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
    ids=["float", "batch", "two channels", "empty", "flat"],
)
def test_arrays_that_are_no_image(pixels: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        to_input(pixels)
    assert caught.value.field == "image"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "F"])
def test_pillow_images_of_every_mode(mode: str) -> None:
    assert decoded(to_input(Image.new(mode, (3, 2)))).shape[:2] == (2, 3)


def test_pillow_images_are_turned_upright(tmp_path: Path) -> None:
    """The same as the file itself, which the server turns."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(PIXELS).save(path, exif=exif)
    with Image.open(path) as image:
        assert decoded(to_input(image)).shape == (7, 5, 3)
    assert open_image(path).size == (5, 7)


def test_files_go_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"encoded")
    with path.open("rb") as file:
        sources: list[Any] = [
            path,
            str(path),
            b"encoded",
            bytearray(b"encoded"),
            memoryview(b"encoded"),
            file,
        ]
        assert {to_input(each).image for each in sources} == {b"encoded"}


def test_uris_stay_on_the_server() -> None:
    assert to_input(Uri("a/b.png")).uri == "a/b.png"
    with pytest.raises(TypeError, match="the server reads a Uri itself"):
        open_image(Uri("a/b.png"))


@pytest.mark.parametrize("value", [None, 7, io.StringIO("text"), [b"a"]])
def test_what_is_no_image_at_all(value: Any) -> None:
    with pytest.raises(TypeError):
        to_input(value)


@pytest.mark.parametrize("name", [each for each in DATATYPES if each != "bfloat16"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tensors_of_every_type_come_back(name: str, order: Any) -> None:
    array = np.arange(6).reshape(2, 3).astype(np.dtype(name).newbyteorder(order))
    tensor = to_tensor("x", array)
    assert tensor.datatype == DATATYPES[name]
    assert tensor.data == array.astype(np.dtype(name).newbyteorder("<")).tobytes()
    np.testing.assert_array_equal(from_tensor(tensor), array)


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=4, max_side=4)))
def test_any_tensor_comes_back_bit_for_bit(array: Any) -> None:
    assert from_tensor(to_tensor("x", array)).tobytes() == array.tobytes()


def test_bfloat16_is_widened() -> None:
    data = np.array([0x3F80, 0xC000], "<u2").tobytes()
    tensor = common_pb2.Tensor(name="x", datatype="BF16", shape=[2], data=data)
    assert from_tensor(tensor).tolist() == [1.0, -2.0]


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_bytes_tensors_come_back(values: list[bytes]) -> None:
    array = np.array([*values, None], object)[:-1]
    assert from_tensor(to_tensor("x", array)).tolist() == values


def test_texts_become_bytes() -> None:
    assert from_tensor(to_tensor("x", np.array(["ä", "b"]))).tolist() == ["ä".encode(), b"b"]


def test_scalars_keep_their_shape() -> None:
    assert from_tensor(to_tensor("x", np.array(3.0))).shape == ()


@pytest.mark.parametrize("array", [np.array([1j]), np.array([object()])])
def test_tensors_that_have_no_datatype(array: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        to_tensor("x", array)
    assert caught.value.field == "tensors"


@pytest.mark.parametrize(
    "tensor",
    [
        common_pb2.Tensor(datatype="FP32", shape=[2], data=b"1234"),
        common_pb2.Tensor(datatype="FP32", shape=[1], data=b"123"),
        common_pb2.Tensor(datatype="FP7", shape=[1], data=b"1"),
        common_pb2.Tensor(datatype="BYTES", shape=[1], data=b"\xff\x00\x00\x00a"),
        common_pb2.Tensor(datatype="BYTES", shape=[1], data=b"\x01"),
    ],
)
def test_tensors_that_contradict_themselves(tensor: common_pb2.Tensor) -> None:
    with pytest.raises(InternalError):
        from_tensor(tensor)


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_agree_with_coco(mask: Any) -> None:
    """faster-coco-eval encodes, we decode."""
    coco = pytest.importorskip("faster_coco_eval.core.mask")
    counts = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    text = counts.decode() if isinstance(counts, bytes) else counts
    np.testing.assert_array_equal(decode_rle(text, *mask.shape), mask)


def test_masks_without_a_picture_are_read_from_their_runs() -> None:
    size = common_pb2.ImageSize(width=2, height=1)
    np.testing.assert_array_equal(from_mask(common_pb2.BinaryMask(size=size, rle="11")), [[0, 1]])


@pytest.mark.parametrize("counts", ["", "1", "o", "99", "\x00\x10"])
def test_run_lengths_that_do_not_fill_the_mask(counts: str) -> None:
    with pytest.raises(InternalError):
        decode_rle(counts, 2, 2)


def test_pictures_that_cannot_be_read() -> None:
    size = common_pb2.ImageSize(width=2, height=1)
    with pytest.raises(InternalError, match="cannot be read"):
        from_mask(common_pb2.BinaryMask(size=size, png=b"no picture"))


def written(task: Task, **parameters: Any) -> Any:
    request = inference_pb2.PredictRequest(model_name="m")
    Parameters.of(parameters).write(request, task)
    return getattr(request, task.value)


def test_every_parameter_of_the_contract_is_declared_and_no_other() -> None:
    contract = {name for paths in PATHS.values() for name in paths}
    assert contract | {"style"} == set(TaskParameters.__annotations__)


@pytest.mark.parametrize(
    ("style", "field"),
    [
        (3, "style_index"),
        (np.int64(3), "style_index"),
        ([0.5, 0.5], "style_weights"),
        (np.array([0.5, 0.5]), "style_weights"),
        (PIXELS, "style_image"),
        (b"encoded", "style_image"),
    ],
)
def test_a_style_says_by_itself_what_it_is(style: Any, field: str) -> None:
    assert written(Task.STYLE_TRANSFER, style=style).WhichOneof("style") == field


def test_parameters_are_written_where_they_belong() -> None:
    holes = written(Task.INPAINTING, rectangles=[(1, 2, 3, 4)], mask=b"m", format="jpeg")
    assert holes.rectangles[0] == common_pb2.Box(x_min=1, y_min=2, x_max=3, y_max=4)
    assert holes.mask.image == b"m"
    assert holes.format == common_pb2.PICTURE_FORMAT_JPEG
    instances = written(Task.INSTANCE_SEGMENTATION, labels=["a", "b"], mask_threshold=0.25)
    assert list(instances.detection.labels) == ["a", "b"]
    assert instances.mask_threshold == 0.25
    assert written(Task.SUPER_RESOLUTION, tile_overlap=0).HasField("tile_overlap")


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        (Task.CLASSIFICATION, "top_k", "three"),
        (Task.CLASSIFICATION, "top_k", 2**40),
        (Task.DETECTION, "labels", [1]),
        (Task.STYLE_TRANSFER, "style_weights", ["a"]),
        (Task.INPAINTING, "rectangles", [(1, 2)]),
        (Task.INPAINTING, "mask", 7),
        (Task.SUPER_RESOLUTION, "format", "gif"),
    ],
)
def test_values_of_the_wrong_type_name_their_parameter(task: Task, name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        written(task, **{name: value})
    assert caught.value.field == name


def test_parameters_that_no_task_takes_together() -> None:
    with pytest.raises(TypeError, match=r"top_k \(classification\), tile_size \(super_res"):
        _ = Parameters.of({"top_k": 1, "tile_size": 2}).task


def test_parameters_that_are_none_are_left_out() -> None:
    assert Parameters.of({"top_k": None}).given == {}


def test_a_raw_model_takes_no_parameters() -> None:
    with pytest.raises(TypeError, match="m does raw, which takes no parameters, not top_k"):
        written(Task.RAW, top_k=1)


@pytest.mark.parametrize("size", [Size(2, 2), Size(0, 0)])
def test_maps_that_contradict_themselves(size: Size) -> None:
    message = explanation_pb2.SaliencyMap(values=b"1234" if size.width else b"")
    message.size.width, message.size.height = size
    response = explanation_pb2.ExplainResponse()
    response.results.explanations.add().saliency_map.CopyFrom(message)
    with pytest.raises(InternalError):
        EventReader().read(response)


def test_events_of_a_newer_contract_are_skipped() -> None:
    assert not EventReader().read(explanation_pb2.ExplainResponse())


@pytest.mark.parametrize(
    ("asked", "compact"),
    [
        ({}, False),
        ({"top_k": 16}, False),
        ({"top_k": 17}, True),
        ({"targets": list(range(17))}, True),
        ({"top_k": 17, "compact_maps": False}, False),
        ({"compact_maps": True}, True),
    ],
)
def test_maps_of_many_targets_are_asked_for_in_16_bits(
    asked: dict[str, Any], *, compact: bool
) -> None:
    request = explain_request(PIXELS, model="m", **asked)
    wanted = (
        explanation_pb2.MAP_ENCODING_UINT16 if compact else explanation_pb2.MAP_ENCODING_FLOAT32
    )
    assert request.map_encoding == wanted


def test_levels_stand_for_values_between_the_least_and_the_greatest() -> None:
    response = explanation_pb2.ExplainResponse()
    message = response.results.explanations.add().saliency_map
    message.size.width, message.size.height = 3, 1
    message.minimum, message.maximum = -1, 1
    message.levels = np.array([0, 32768, 65535], "<u2").tobytes()
    (found,) = EventReader().read(response)
    assert isinstance(found, Explanation)
    assert found.map.stored.nbytes == 6
    np.testing.assert_allclose(found.saliency_map, [[-1, 1 / 65535, 1]], atol=1e-7)
    assert found.saliency_map is found.saliency_map
