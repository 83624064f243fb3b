from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks.decoders import DECODERS, decoder_for
from pellucid_server.tasks.decoders.base import Candidates
from pellucid_server.types import Port, Size

SIZE = Size(100, 200)
GOOD = [10, 20, 30, 40, 0.5, 0]


def end_to_end(*rows: Any) -> dict[str, Any]:
    return {"output": np.array([rows], np.float32)}


def refusal(decode: dict[str, Any], *, masks: bool = False) -> InvalidInput:
    ports = [Port("output", "FP32", (1, 300, 6))]
    with pytest.raises(InvalidInput) as caught:
        decoder_for(ModelSpec(labels=("cat",), decode=decode), ports, masks=masks)
    return caught.value


def test_the_published_layouts_are_known() -> None:
    detection = {"detr", "nanodet", "ssd", "yolo", "yolo_raw"}
    assert set(DECODERS) == detection | {"mask_rcnn", "yolo_seg"}
    assert {name for name, each in DECODERS.items() if not each.masks} == detection


def test_a_missing_type_is_refused_with_all_there_are() -> None:
    error = refusal({})
    assert error.field == "decode.type"
    assert "detr, mask_rcnn, nanodet, ssd, yolo, yolo_raw, yolo_seg" in error.message


@pytest.mark.parametrize("name", ["yolov8", "nanodett", 8, None])
def test_an_unknown_type_is_refused_with_those_known(name: Any) -> None:
    error = refusal({"type": name})
    assert error.field == "decode.type"
    assert "nanodet, ssd, yolo" in error.message


def test_where_masks_are_needed_only_decoders_of_masks_are_known() -> None:
    assert "one of mask_rcnn, yolo_seg." in refusal({"type": "yolo"}, masks=True).message


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    error = refusal({"type": "yolo", "confidence_treshold": 0.3})
    assert error.field == "decode.confidence_treshold"
    assert "Did you mean 'confidence_threshold'?" in error.message


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("confidence_threshold", 1.1),
        ("confidence_threshold", float("nan")),
        ("iou_threshold", -0.1),
        ("max_detections", 0),
        ("version", "v4"),
        ("outputs", {"box": "output"}),
    ],
)
def test_a_wrong_option_is_refused_by_name(option: str, value: Any) -> None:
    assert refusal({"type": "yolo", option: value}).field == f"decode.{option}"


@pytest.mark.parametrize(
    "bad",
    [
        [np.nan, 20, 30, 40, 0.5, 0],
        [10, 20, np.inf, 40, 0.5, 0],
        [10, 20, 30, 40, np.nan, 0],
        [10, 20, 30, 40, 0.5, np.nan],
        [10, 20, 30, 40, 0.5, -3],
        [10, 20, 30, 40, 0.5, 1e9],
        [30, 20, 10, 40, 0.5, 0],
        [10, 20, 30, 20, 0.5, 0],
    ],
)
def test_rows_without_a_box_a_score_or_a_class_are_dropped(bind: Any, bad: list[float]) -> None:
    outputs = end_to_end(bad, GOOD, bad)
    found = bind("yolo", outputs, version="v10").candidates(outputs, SIZE)
    assert found.boxes.tolist() == [GOOD[:4]]
    assert found.class_ids.tolist() == [0]


def test_no_boxes_are_no_error(bind: Any) -> None:
    outputs = {"output": np.zeros((1, 0, 6), np.float32)}
    found = bind("yolo", end_to_end(GOOD), version="v10").candidates(outputs, SIZE)
    assert found.boxes.shape == (0, 4)


def test_scores_that_are_no_confidences_are_not_shown_as_such(bind: Any) -> None:
    outputs = end_to_end([10, 20, 30, 40, 7.25, 0])
    with pytest.raises(InferenceFailed, match=r"reach from 0 to 7\.25 .* decode\.type"):
        bind("yolo", outputs, version="v10").candidates(outputs, SIZE)


def test_outputs_of_another_shape_than_promised_are_a_failure_of_the_model(bind: Any) -> None:
    outputs = {"boxes": np.zeros((5, 4)), "scores": np.zeros(5), "labels": np.zeros(5)}
    decoder = bind("ssd", outputs)
    with pytest.raises(InferenceFailed, match=r"layout ssd: .*scores \[4\]"):
        decoder.candidates({**outputs, "scores": np.zeros(4)}, SIZE)


def test_half_precision_is_read(bind: Any) -> None:
    outputs = {"output": end_to_end(GOOD)["output"].astype(np.float16)}
    found = bind("yolo", outputs, version="v10").candidates(outputs, SIZE)
    assert found.boxes.dtype == np.float32
    assert found.boxes.tolist() == [GOOD[:4]]


def test_where_only_the_best_class_is_known_the_others_score_nothing() -> None:
    boxes = np.zeros((2, 4), np.float32)
    found = Candidates(boxes, np.array([0.5, 0.25], np.float32), np.array([2, 0]))
    assert found.vectors(3).tolist() == [[0, 0, 0.5], [0.25, 0, 0]]
