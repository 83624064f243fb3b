from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.tasks.decoders.masks import BoxMasks, InputMasks
from pellucid_server.types import Array, Size

SIZE = Size(100, 200)
BOXES = np.array([[20, 10, 60, 90], [100, 50, 200, 100]], np.float32)
SCORES = np.array([0.9, 0.6], np.float32)
IDS = np.array([2, 0])
MASKS = np.random.default_rng(3).random((2, 28, 28), np.float32)


def openvino() -> dict[str, Array]:
    return {"boxes": np.column_stack([BOXES, SCORES]), "labels": IDS, "masks": MASKS}


def torchvision() -> dict[str, Array]:
    return {"boxes": BOXES, "labels": IDS, "scores": SCORES, "masks": MASKS[:, None]}


def tensorflow() -> dict[str, Array]:
    unit = BOXES[:, [1, 0, 3, 2]] / np.array([100, 200, 100, 200], np.float32)
    return {
        "detection_boxes": np.concatenate([unit, unit])[None],
        "detection_classes": np.concatenate([IDS, IDS])[None].astype(np.float32),
        "detection_masks": np.concatenate([MASKS, MASKS])[None],
        "detection_multiclass_scores": np.zeros((1, 4, 4)),
        "detection_scores": np.concatenate([SCORES, SCORES])[None],
        "num_detections": np.array([2.0]),
    }


@pytest.mark.parametrize("made", [openvino(), torchvision(), tensorflow()])
def test_masks_come_with_their_boxes(bind: Any, made: dict[str, Array]) -> None:
    found = bind("mask_rcnn", made).candidates(made, SIZE)
    np.testing.assert_allclose(found.boxes, BOXES, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.scores, SCORES)
    assert found.class_ids.tolist() == IDS.tolist()
    assert type(found.masks) is BoxMasks
    np.testing.assert_array_equal([found.masks.at(0), found.masks.at(1)], MASKS)


def test_a_batch_dimension(bind: Any) -> None:
    made = {name: each[None] for name, each in openvino().items()}
    found = bind("mask_rcnn", made).candidates(made, SIZE)
    np.testing.assert_array_equal(found.masks.at(1), MASKS[1])


def test_masks_as_large_as_the_input_cover_it(bind: Any) -> None:
    made = {**torchvision(), "masks": np.zeros((2, 1, *SIZE))}
    assert type(bind("mask_rcnn", made).candidates(made, SIZE).masks) is InputMasks


def test_a_dropped_box_takes_its_mask_along(bind: Any) -> None:
    made = torchvision()
    made["boxes"] = made["boxes"].copy()
    made["boxes"][0, 2] = np.nan
    found = bind("mask_rcnn", made).candidates(made, SIZE)
    np.testing.assert_array_equal(found.masks.at(0), MASKS[1])


def test_a_mask_for_every_class_is_no_layout_that_is_read(bind: Any) -> None:
    made = {**torchvision(), "masks": np.zeros((2, 81, 28, 28))}
    with pytest.raises(InferenceFailed, match=r"masks \[2, 81, 28, 28\]"):
        bind("mask_rcnn", made).candidates(made, SIZE)


def test_outputs_without_masks_are_refused(bind: Any) -> None:
    made = torchvision()
    del made["masks"]
    with pytest.raises(InvalidInput) as caught:
        bind("mask_rcnn", made)
    assert caught.value.field == "decode.outputs.masks"
