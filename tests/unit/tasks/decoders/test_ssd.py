from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.errors import InvalidInput
from pellucid_server.types import Array, Size

SIZE = Size(100, 200)
BOXES = np.array([[20, 10, 60, 90], [100, 50, 200, 100]], np.float32)
UNIT = BOXES / np.array([200, 100, 200, 100], np.float32)
SCORES = np.array([0.9, 0.6], np.float32)
IDS = np.array([2, 0])


def check(found: Any) -> None:
    np.testing.assert_allclose(found.boxes, BOXES, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores, SCORES, rtol=0, atol=1e-6)
    assert found.class_ids.tolist() == IDS.tolist()


def detection_output() -> Array:
    rows = np.zeros((1, 1, 5, 7), np.float32)
    rows[0, 0, :2] = np.column_stack([[0, 0], IDS, SCORES, UNIT])
    rows[0, 0, 2] = [-1, 0, 0, 0, 0, 0, 0]
    rows[0, 0, 3:] = [0, 1, 0.99, 0, 0, 1, 1]
    return rows


def test_detection_output_ends_with_a_negative_image_id(bind: Any) -> None:
    made = {"detection_out": detection_output()}
    check(bind("ssd", made).candidates(made, SIZE))


def test_the_real_operation_of_openvino(bind: Any) -> None:
    """Two priors as large as the objects, class 1 and 2 of three with 0 the background."""
    logits = ops.parameter([1, 8], np.float32)
    priors = np.stack([UNIT.reshape(-1), np.full(8, 0.1, np.float32)])[None]
    attributes = {
        "keep_top_k": [4],
        "top_k": 4,
        "nms_threshold": 0.5,
        "confidence_threshold": 0.2,
        "background_label_id": 0,
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        "share_location": True,
        "normalized": True,
    }
    classes = np.array([[0.1, 0.0, 0.9, 0.3, 0.6, 0.1]], np.float32)
    made = ops.detection_output(logits, ops.constant(classes), ops.constant(priors), attributes)
    model = ov.Core().compile_model(ov.Model([made], [logits]), "CPU")
    outputs = {"out": model([np.zeros((1, 8), np.float32)])[0]}
    assert outputs["out"].shape == (1, 1, 4, 7)
    found = bind("ssd", outputs, label_offset=1).candidates(outputs, SIZE)
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], BOXES, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores[order], SCORES, rtol=0, atol=1e-6)
    assert found.class_ids[order].tolist() == [1, 0]


@pytest.mark.parametrize("batch", [(), (1,)])
def test_boxes_with_confidences_and_labels(bind: Any, batch: tuple[int, ...]) -> None:
    made: dict[str, Array] = {"labels": IDS, "boxes": np.column_stack([BOXES, SCORES])}
    made = {name: each.reshape(*batch, *each.shape) for name, each in made.items()}
    made["feature_vector"] = np.zeros((1, 256))
    check(bind("ssd", made).candidates(made, SIZE))


def test_boxes_with_confidences_alone_are_of_class_0(bind: Any) -> None:
    made = {"boxes": np.column_stack([BOXES, SCORES])[None]}
    assert bind("ssd", made).candidates(made, SIZE).class_ids.tolist() == [0, 0]


def tensorflow() -> dict[str, Array]:
    pad = np.zeros((3, 4), np.float32)
    return {
        "detection_anchor_indices": np.zeros((1, 5), np.float32),
        "detection_boxes": np.concatenate([UNIT[:, [1, 0, 3, 2]], pad])[None],
        "detection_classes": np.concatenate([IDS + 1, [1, 1, 1]])[None].astype(np.float32),
        "detection_multiclass_scores": np.zeros((1, 5, 4), np.float32),
        "detection_scores": np.concatenate([SCORES, [0.5, 0.5, 0.5]])[None].astype(np.float32),
        "num_detections": np.array([2.0], np.float32),
        "raw_detection_boxes": np.zeros((1, 50, 4), np.float32),
        "raw_detection_scores": np.zeros((1, 50, 4), np.float32),
    }


def test_tensorflow_object_detection(bind: Any) -> None:
    made = tensorflow()
    check(bind("ssd", made, label_offset=1).candidates(made, SIZE))


def test_without_a_count_all_rows_are_read(bind: Any) -> None:
    made = tensorflow()
    made["detection_boxes"][0, 2] = [0.1, 0.1, 0.2, 0.2]
    del made["num_detections"]
    assert len(bind("ssd", made, label_offset=1).candidates(made, SIZE).boxes) == 3


def test_torchvision(bind: Any) -> None:
    made = {"boxes": BOXES, "labels": IDS + 1, "scores": SCORES}
    check(bind("ssd", made, label_offset=1).candidates(made, SIZE))


def test_outputs_without_telling_names_can_be_named(bind: Any) -> None:
    made = {"2770": BOXES, "2771": IDS, "2772": SCORES}
    with pytest.raises(InvalidInput) as caught:
        bind("ssd", made)
    assert caught.value.field == "decode.outputs.scores"
    named = {"boxes": "2770", "labels": "2771", "scores": "2772"}
    check(bind("ssd", made, outputs=named).candidates(made, SIZE))


def test_the_way_of_writing_boxes_can_be_said(bind: Any) -> None:
    made = {"boxes": UNIT[:, [1, 0, 3, 2]], "labels": IDS, "scores": SCORES}
    check(bind("ssd", made, normalized=True, y_first=True).candidates(made, SIZE))


def test_a_background_object_is_dropped(bind: Any) -> None:
    made = {"boxes": BOXES, "labels": IDS, "scores": SCORES}
    found = bind("ssd", made, label_offset=1).candidates(made, SIZE)
    assert found.class_ids.tolist() == [1]


def test_outputs_without_boxes_are_refused(bind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"set decode\.outputs\.boxes to one of out \[1, 9\]"):
        bind("ssd", {"out": np.zeros((1, 9))})
