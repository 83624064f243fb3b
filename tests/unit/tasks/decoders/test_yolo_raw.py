from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.types import Array, Size

SIZE = Size(64, 128)
ANCHORS = [[10, 14, 16, 30], [30, 60, 62, 46], [116, 90, 156, 198]]
STRIDES = (8, 16, 32)


def logit(share: Any) -> Any:
    return np.log(share) - np.log1p(-np.asarray(share, np.float64))


def heads() -> list[Array]:
    """Quiet heads of two anchors and three classes, but for an object on each of two."""
    quiet = [np.full((1, 2, 64 // s, 128 // s, 8), -30, np.float32) for s in STRIDES]
    for each in quiet:
        each[..., 2:4] = 0
    # anchor 1 (62 x 46) of stride 16, cell (x 5, y 2): center 5.25, 2.75 cells
    quiet[1][0, 1, 2, 5] = [
        *logit([(0.25 + 0.5) / 2, (0.75 + 0.5) / 2]),
        *logit(np.sqrt([31 / 62, 69 / 46]) / 2),
        *logit([0.8, 0.1, 0.75, 0.2]),
    ]
    # anchor 0 (116 x 90) of stride 32, cell (x 3, y 0)
    quiet[2][0, 0, 0, 3] = [*logit([0.5, 0.5]), *logit([0.5, 0.5]), *logit([0.5, 0.9, 0.1, 0.1])]
    return quiet


def check(found: Any) -> None:
    best = np.argsort(-found.scores.max(axis=1))[:2]
    expected = [
        [84 - 15.5, 44 - 34.5, 84 + 15.5, 44 + 34.5],
        [112 - 58.0, 16 - 45.0, 112 + 58.0, 16 + 45.0],
    ]
    np.testing.assert_allclose(found.boxes[best], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        found.scores[best], [[0.08, 0.6, 0.16], [0.45, 0.05, 0.05]], rtol=0, atol=1e-6
    )
    assert np.delete(found.scores, best, axis=0).max() < 1e-6
    assert found.needs_nms


def test_heads_of_five_dimensions(bind: Any) -> None:
    outputs = {f"head {index}": each for index, each in enumerate(heads())}
    decoder = bind("yolo_raw", outputs, labels=3, anchors=ANCHORS)
    check(decoder.candidates(outputs, SIZE))


def test_heads_of_four_dimensions_in_any_order(bind: Any) -> None:
    flat = [each.transpose(0, 1, 4, 2, 3).reshape(1, 16, *each.shape[2:4]) for each in heads()]
    outputs = {f"head {index}": each for index, each in enumerate(flat[::-1])}
    decoder = bind("yolo_raw", outputs, labels=3, anchors=ANCHORS)
    check(decoder.candidates(outputs, SIZE))


def test_free_extents(bind: Any) -> None:
    outputs = {f"head {index}": each for index, each in enumerate(heads())}
    check(bind("yolo_raw", outputs, anchors=ANCHORS, free=True).candidates(outputs, SIZE))


def test_heads_of_another_input_are_a_failure(bind: Any) -> None:
    outputs = {f"head {index}": each for index, each in enumerate(heads())}
    with pytest.raises(InferenceFailed, match="layout yolo_raw"):
        bind("yolo_raw", outputs, anchors=ANCHORS).candidates(outputs, Size(96, 96))


@pytest.mark.parametrize(
    ("labels", "options", "field"),
    [
        (4, {"anchors": ANCHORS}, "labels"),
        (3, {"anchors": ANCHORS[:2]}, "decode."),
        (3, {"anchors": [[10, 14, 16]] * 3}, "decode."),
        (3, {"anchors": ANCHORS[:2], "strides": [8, 16]}, "decode.strides"),
        (3, {"anchors": [[10, -14]] * 3}, "decode.anchors"),
    ],
)
def test_wrong_labels_anchors_and_strides_are_refused(
    bind: Any, labels: int, options: dict[str, Any], field: str
) -> None:
    outputs = {f"head {index}": each for index, each in enumerate(heads())}
    with pytest.raises(InvalidInput) as caught:
        bind("yolo_raw", outputs, labels=labels, **options)
    assert caught.value.field == field
