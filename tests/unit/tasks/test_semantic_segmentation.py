from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import TaskModel
from pellucid_server.tasks.semantic_segmentation import SemanticSegmentation
from pellucid_server.types import (
    Array,
    Image,
    Infer,
    Port,
    SemanticSegmentationParameters,
    SemanticSegmentationResult,
    Task,
)

IMAGE = Port("image", "f32", (1, 3, 16, 16))
SHAPE = (24, 40)


def segmenter(
    shape: tuple[int, ...],
    labels: tuple[str, ...] = (),
    resize: Resize = Resize.STRETCH,
    **decode: Any,
) -> SemanticSegmentation:
    spec = ModelSpec(
        task=Task.SEMANTIC_SEGMENTATION,
        labels=labels,
        decode=decode,
        preprocess=Preprocess(resize=resize),
    )
    return SemanticSegmentation(spec, [IMAGE], [Port("map", "f32", shape)])


def segment(
    model: SemanticSegmentation,
    raw: Array,
    parameters: SemanticSegmentationParameters | None = None,
    size: tuple[int, int] = SHAPE,
) -> SemanticSegmentationResult:
    image = np.zeros((*size, 3), np.uint8)
    return model.predict(
        image, parameters or SemanticSegmentationParameters(), lambda _: {"map": raw}
    )


def logits(classes: int = 3, side: int = 8) -> Array:
    return np.random.default_rng(5).normal(0, 3, (1, classes, side, side)).astype(np.float32)


def enlarged(planes: Array, size: tuple[int, int] = SHAPE) -> Array:
    """The reference: every plane by OpenCV, linearly."""
    return np.stack([cv2.resize(each, size[::-1]) for each in planes])


def softmax(values: Array) -> Array:
    powers = np.exp(values.astype(np.float64))
    return np.asarray(powers / powers.sum(0), np.float32)


def test_probabilities_are_enlarged_and_then_the_highest_is_taken() -> None:
    raw = logits()
    parameters = SemanticSegmentationParameters(probabilities=True)
    result = segment(segmenter((1, 3, 8, 8)), raw, parameters)
    expected = enlarged(softmax(raw[0]))
    assert result.label_map.dtype == np.uint16
    assert np.array_equal(result.label_map, expected.argmax(0))
    assert result.probabilities is not None
    assert result.probabilities.dtype == np.float32
    assert np.abs(result.probabilities - expected).max() <= 1e-6


def test_areas_add_up_and_come_largest_first() -> None:
    raw = logits()
    result = segment(segmenter((1, 3, 8, 8), ("sky", "road", "car")), raw)
    expected = enlarged(softmax(raw[0]))
    assert sum(area.pixels for area in result.areas) == 24 * 40
    assert abs(sum(area.share for area in result.areas) - 1) <= 1e-12
    assert [a.pixels for a in result.areas] == sorted(
        (a.pixels for a in result.areas), reverse=True
    )
    for area in result.areas:
        chosen = expected.argmax(0) == area.category.class_id
        assert area.pixels == chosen.sum()
        assert area.category.label == ("sky", "road", "car")[area.category.class_id]
        assert abs(area.category.confidence - expected.max(0)[chosen].mean()) <= 1e-6


def test_classes_that_do_not_occur_are_not_listed() -> None:
    raw = np.zeros((1, 3, 8, 8), np.float32)
    raw[:, 2] = 9
    assert [area.category.class_id for area in segment(segmenter((1, 3, 8, 8)), raw).areas] == [2]


@pytest.mark.parametrize(
    ("shape", "labels", "decode"),
    [
        ((1, 8, 8, 3), (), {}),
        ((1, 8, 8, 3), ("a", "b", "c"), {}),
        ((1, -1, -1, 3), (), {}),
        ((1, 8, 8, 3), (), {"layout": "NHWC"}),
    ],
)
def test_channels_last_give_the_same(
    shape: tuple[int, ...], labels: tuple[str, ...], decode: dict[str, Any]
) -> None:
    raw = logits()
    first = segment(segmenter((1, 3, 8, 8)), raw)
    last = segment(segmenter(shape, labels, **decode), raw.transpose(0, 2, 3, 1))
    assert np.array_equal(first.label_map, last.label_map)


def test_labels_tell_the_layout_where_there_are_more_classes_than_rows() -> None:
    raw = logits(12)
    labels = tuple("abcdefghijkl")
    assert segmenter((1, 12, 8, 8), labels).axis == 1
    assert segmenter((1, 8, 8, 12), labels).axis == 3
    assert segment(segmenter((1, 12, 8, 8), labels), raw).label_map.max() == 11


def test_softmax_outputs_are_taken_as_they_are() -> None:
    raw = logits()
    plain = segment(segmenter((1, 3, 8, 8)), raw)
    done = segment(segmenter((1, 3, 8, 8), type="softmax"), softmax(raw[0])[None])
    assert np.array_equal(plain.label_map, done.label_map)


def test_logits_read_as_probabilities_are_refused() -> None:
    with pytest.raises(InferenceFailed, match=r"decode\.type to logits"):
        segment(segmenter((1, 3, 8, 8), type="softmax"), logits())


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 1, 8, 8), (1, 8, 8, 1)])
def test_a_foreground_channel_is_cut_at_the_threshold(shape: tuple[int, ...]) -> None:
    foreground = np.random.default_rng(6).random((8, 8), np.float32)
    placed = enlarged(foreground[None])[0]
    for threshold in (0.2, 0.5, 0.7):
        parameters = SemanticSegmentationParameters(threshold, probabilities=True)
        model = segmenter(shape, ("background", "person"), type="binary")
        result = segment(model, foreground.reshape(shape), parameters)
        assert np.array_equal(result.label_map, placed >= threshold)
        assert result.probabilities is not None
        assert np.abs(result.probabilities - [1 - placed, placed]).max() <= 1e-6
        by_label = {area.category.label: area.category.confidence for area in result.areas}
        assert abs(by_label["person"] - placed[placed >= threshold].mean()) <= 1e-6
        assert abs(by_label["background"] - (1 - placed)[placed < threshold].mean()) <= 1e-6


def test_a_single_label_of_a_binary_model_is_its_foreground() -> None:
    raw = np.array([[[0, 1]]], np.float32)
    result = segment(segmenter((1, 1, 2), ("crack",), type="binary"), raw)
    assert {area.category.label for area in result.areas} == {"background", "crack"}


def test_a_sigmoid_may_come_after_the_model() -> None:
    raw = np.array([[[-9, 9]]], np.float32)
    result = segment(segmenter((1, 1, 2), type="binary", activation="sigmoid"), raw)
    assert result.label_map[:, 0].max() == 0
    assert result.label_map[:, -1].min() == 1
    with pytest.raises(InferenceFailed, match=r"decode\.activation to sigmoid"):
        segment(segmenter((1, 1, 2), type="binary"), raw)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32])
def test_a_label_map_is_enlarged_without_new_labels(kind: type) -> None:
    raw: Array = np.array([[[3, 250], [250, 3]]], kind)
    result = segment(segmenter((1, 2, 2), type="label_map"), raw)
    assert np.array_equal(result.label_map, np.kron(raw[0], np.ones((12, 20))))
    assert [(a.category.class_id, a.pixels) for a in result.areas] == [(3, 480), (250, 480)]
    assert result.areas[0].category.confidence == 1


@pytest.mark.parametrize("value", [-1, 65536, np.nan])
def test_labels_beyond_16_bits_are_refused(value: float) -> None:
    with pytest.raises(InferenceFailed, match="65535"):
        segment(segmenter((1, 2, 2), type="label_map"), np.full((1, 2, 2), value))


def test_a_label_map_has_no_probabilities() -> None:
    with pytest.raises(InvalidInput) as caught:
        segment(
            segmenter((1, 2, 2), type="label_map"),
            np.zeros((1, 2, 2)),
            SemanticSegmentationParameters(probabilities=True),
        )
    assert caught.value.field == "semantic_segmentation.probabilities"


def test_probabilities_beyond_a_message_are_refused() -> None:
    """150 classes of 3,000 x 3,000 pixels are 5 GiB."""
    raw = np.zeros((1, 150, 160, 160), np.float32)
    parameters = SemanticSegmentationParameters(probabilities=True)
    with pytest.raises(InvalidInput, match="150 probabilities") as caught:
        segment(segmenter(raw.shape), raw, parameters, (3000, 3000))
    assert caught.value.field == "semantic_segmentation.probabilities"


@pytest.mark.parametrize("threshold", [0, 1, -1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    parameters = SemanticSegmentationParameters(threshold)
    with pytest.raises(InvalidInput) as caught:
        segment(segmenter((1, 3, 8, 8)), logits(), parameters)
    assert caught.value.field == "semantic_segmentation.threshold"


def test_a_letterboxed_map_is_cut_out_of_its_padding() -> None:
    """The input shows 24 x 40 as rows 3 to 13 of 16; padding rows say class 2, the image 0 or 1."""
    raw = np.zeros((1, 3, 16, 16), np.float32)
    raw[:, 2] = 9
    raw[0, :, 3:13] = 0
    raw[0, 0, 3:13, :8] = raw[0, 1, 3:13, 8:] = 9
    result = segment(segmenter((1, 3, 16, 16), resize=Resize.LETTERBOX), raw)
    assert np.array_equal(result.label_map, np.repeat([[0, 1]], [20, 20], axis=1).repeat(24, 0))


def test_crops_are_refused() -> None:
    with pytest.raises(InvalidInput, match="stretch or letterbox") as caught:
        segmenter((1, 3, 8, 8), resize=Resize.CROP)
    assert caught.value.field == "preprocess.resize"


@pytest.mark.parametrize(
    ("shape", "labels", "decode", "field"),
    [
        ((1, 3, 8, 8), ("a", "b"), {}, "labels"),
        ((1, 3, 8, 8), (), {"type": "binary"}, "decode.type"),
        ((1, 3, 8, 8), (), {"type": "label_map"}, "decode.type"),
        ((1, 1000), (), {}, "decode.output"),
        ((1, 3, 8, 8), (), {"activation": "tanh"}, "decode.activation"),
    ],
)
def test_a_spec_that_does_not_fit_the_model_is_refused(
    shape: tuple[int, ...], labels: tuple[str, ...], decode: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        segmenter(shape, labels, **decode)
    assert caught.value.field == field


def test_the_selfie_model_finds_the_astronaut(
    zoo: Callable[[str], tuple[TaskModel[Any, Any], Infer]], sample: Callable[[str], Image]
) -> None:
    """Her face is person, the flag in the upper left corner is not."""
    model, infer = zoo("selfie-segmentation")
    image = sample("astronaut.png")
    result = model.predict(image, SemanticSegmentationParameters(probabilities=True), infer)
    assert result.label_map.shape == image.shape[:2]
    assert (result.label_map[80:160, 190:250] == 1).mean() > 0.99
    assert (result.label_map[0:60, 0:60] == 0).mean() > 0.99
    assert [area.category.label for area in result.areas] == ["person", "background"]
    assert 0.3 < result.areas[0].share < 0.75
    assert np.abs(result.probabilities.sum(0) - 1).max() <= 1e-6
