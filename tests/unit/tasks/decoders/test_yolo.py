from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.types import Array, Size

SIZE = Size(320, 640)
BOXES = [[100, 50, 140, 110], [300, 200, 620, 300]]
CENTERS = [[120, 80, 40, 60], [460, 250, 320, 100]]
SCORES = [[0.1, 0.9, 0.2], [0.8, 0.05, 0.3]]


def v5(boxes: int = 8400) -> Array:
    """Two objects of three classes among boxes without objectness."""
    rows = np.zeros((1, boxes, 8), np.float32)
    rows[..., :5] = [5, 5, 4, 4, 0]
    rows[0, [10, 77], :4], rows[0, [10, 77], 5:] = CENTERS, SCORES
    rows[0, [10, 77], 4] = [0.5, 1]
    return rows


def v8(boxes: int = 8400) -> Array:
    """The same without objectness, channels before boxes."""
    return np.delete(v5(boxes), 4, axis=2).transpose(0, 2, 1)


def v10() -> Array:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, :2, :4] = BOXES
    rows[0, :2, 4:] = [[0.9, 1], [0.8, 0]]
    return rows


def read(bind: Any, output: Array, **given: Any) -> Any:
    return bind("yolo", {"output0": output}, **given).candidates({"output0": output}, SIZE)


@pytest.mark.parametrize("given", [{"labels": 3}, {"version": "v5"}, {"version": "v7"}])
def test_v5_multiplies_classes_by_objectness(bind: Any, given: dict[str, Any]) -> None:
    found = read(bind, v5(), **given)
    np.testing.assert_array_equal(found.boxes[[10, 77]], BOXES)
    np.testing.assert_allclose(
        found.scores[[10, 77]], np.array(SCORES) * [[0.5], [1.0]], rtol=0, atol=1e-7
    )
    assert np.delete(found.scores, [10, 77], axis=0).max() == 0
    assert found.class_ids is None
    assert found.needs_nms


@pytest.mark.parametrize("given", [{}, {"labels": 3}, {"version": "v8"}, {"version": "v11"}])
def test_v8_has_channels_before_boxes(bind: Any, given: dict[str, Any]) -> None:
    found = read(bind, v8(), **given)
    np.testing.assert_array_equal(found.boxes[[10, 77]], BOXES)
    np.testing.assert_array_equal(found.scores[[10, 77]], np.array(SCORES, np.float32))
    assert found.needs_nms


@pytest.mark.parametrize("given", [{"labels": 3}, {"version": "v9"}])
def test_v8_may_be_transposed(bind: Any, given: dict[str, Any]) -> None:
    found = read(bind, v8().transpose(0, 2, 1), **given)
    np.testing.assert_array_equal(found.boxes[[10, 77]], BOXES)
    np.testing.assert_array_equal(found.scores[[10, 77]], np.array(SCORES, np.float32))


@pytest.mark.parametrize("given", [{"labels": 3}, {"version": "v10"}, {"version": "v26"}])
def test_v10_is_end_to_end(bind: Any, given: dict[str, Any]) -> None:
    found = read(bind, v10(), **given)
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert found.class_ids.tolist() == [1, 0]
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.8], np.float32))
    assert not found.needs_nms


def test_few_boxes_are_told_from_channels_by_the_labels(bind: Any) -> None:
    """Seven channels of five boxes."""
    output = v8(100)[:, :, 8:13]
    np.testing.assert_array_equal(read(bind, output, labels=3).boxes[2], BOXES[0])


def test_boxes_may_be_shares_of_the_input(bind: Any) -> None:
    output = v8()
    output[:, :4] /= np.array([640, 320, 640, 320], np.float32)[:, None]
    found = read(bind, output, normalized=True)
    np.testing.assert_allclose(found.boxes[[10, 77]], BOXES, rtol=0, atol=1e-4)


def test_extents_that_are_free_are_told_from_the_output(bind: Any) -> None:
    found = read(bind, v5(), labels=3, free=True)
    np.testing.assert_array_equal(found.boxes[[10, 77]], BOXES)


@pytest.mark.parametrize(
    ("shape", "labels", "fits"),
    [
        ((1, 300, 6), 1, "v10 and v5"),
        ((1, 300, 6), 2, "v10 and v8"),
        ((1, 300, 6), 0, "v10 and v5 and v8"),
        ((1, 25200, 85), 0, "v5 and v8"),
        ((1, 84, 8400), 79, "no layout"),
        ((1, 84, 84), 0, "no layout"),
        ((1, 4, 8400), 0, "no layout"),
    ],
)
def test_a_shape_that_does_not_tell_the_version_is_refused(
    bind: Any, shape: tuple[int, ...], labels: int, fits: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        bind("yolo", {"output0": np.empty(shape)}, labels=labels)
    assert caught.value.field == "decode.version"
    assert f"fits {fits} of" in caught.value.message


def test_a_version_that_the_labels_contradict_is_refused(bind: Any) -> None:
    with pytest.raises(InvalidInput, match="fits no layout of v8 with 80 labels") as caught:
        bind("yolo", {"output0": v5()}, labels=80, version="v8")
    assert caught.value.field == "decode.version"


def test_raw_heads_beside_the_boxes_are_left_alone(bind: Any) -> None:
    outputs = {"head": np.zeros((1, 3, 40, 80, 8)), "output": v5()}
    found = bind("yolo", outputs, labels=3).candidates(outputs, SIZE)
    np.testing.assert_array_equal(found.boxes[[10, 77]], BOXES)


def test_of_two_likely_outputs_one_must_be_named(bind: Any) -> None:
    outputs = {"first": v8(), "second": v5()}
    with pytest.raises(
        InvalidInput, match=r"decode\.outputs\.boxes to one of first \[1, 7"
    ) as caught:
        bind("yolo", outputs)
    assert caught.value.field == "decode.outputs.boxes"
    found = bind("yolo", outputs, labels=3, outputs={"boxes": "second"})
    np.testing.assert_array_equal(found.candidates(outputs, SIZE).boxes[[10, 77]], BOXES)


def test_an_output_of_an_unknown_name_is_refused_with_the_nearest(bind: Any) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'output0'") as caught:
        bind("yolo", {"output0": v8()}, outputs={"boxes": "output"})
    assert caught.value.field == "decode.outputs.boxes"
