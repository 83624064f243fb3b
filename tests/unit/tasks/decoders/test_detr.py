from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.types import Array, Size

SIZE = Size(100, 200)
CENTERS = np.array([[0.5, 0.5, 0.2, 0.4], [0.25, 0.2, 0.1, 0.2]], np.float32)
BOXES = [[80, 30, 120, 70], [40, 10, 60, 30]]
SHARES = np.array([[0.7, 0.1, 0.1, 0.1], [0.05, 0.15, 0.6, 0.2]], np.float32)


def outputs(logits: Array) -> dict[str, Array]:
    return {"logits": logits[None].astype(np.float32), "pred_boxes": CENTERS[None]}


def check(found: Any, scores: Array) -> None:
    np.testing.assert_allclose(found.boxes, BOXES, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-6)
    assert not found.needs_nms


@pytest.mark.parametrize("given", [{"labels": 3}, {"scores": "softmax"}])
def test_detr_has_a_last_class_of_no_object(bind: Any, given: dict[str, Any]) -> None:
    made = outputs(np.log(SHARES) + 3)
    check(bind("detr", made, **given).candidates(made, SIZE), SHARES[:, :3])


@pytest.mark.parametrize("given", [{"labels": 4}, {"scores": "sigmoid"}])
def test_rt_detr_has_independent_classes(bind: Any, given: dict[str, Any]) -> None:
    made = outputs(np.log(SHARES / (1 - SHARES)))
    check(bind("detr", made, **given).candidates(made, SIZE), SHARES)


def test_boxes_and_probabilities_in_one_output(bind: Any) -> None:
    made = {"output0": np.concatenate([CENTERS, SHARES], axis=1)[None]}
    check(bind("detr", made).candidates(made, SIZE), SHARES)
    check(bind("detr", made, labels=4, free=True).candidates(made, SIZE), SHARES)


def test_four_classes_are_told_from_boxes_by_name(bind: Any) -> None:
    made = dict(reversed(outputs(np.log(SHARES / (1 - SHARES))).items()))
    check(bind("detr", made, labels=4).candidates(made, SIZE), SHARES)


def test_free_extents(bind: Any) -> None:
    made = outputs(np.log(SHARES))
    check(bind("detr", made, labels=3, free=True).candidates(made, SIZE), SHARES[:, :3])


@pytest.mark.parametrize("labels", [0, 2, 5])
def test_without_fitting_labels_the_kind_of_scores_must_be_said(bind: Any, labels: int) -> None:
    with pytest.raises(InvalidInput, match=r"softmax .* or sigmoid") as caught:
        bind("detr", outputs(SHARES), labels=labels)
    assert caught.value.field == "decode.scores"


def test_labels_that_the_kind_of_scores_contradicts_are_refused(bind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"3 classes .* 4 labels") as caught:
        bind("detr", outputs(SHARES), labels=4, scores="softmax")
    assert caught.value.field == "labels"
