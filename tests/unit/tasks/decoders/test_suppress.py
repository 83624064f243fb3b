from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.tasks.decoders.base import MOST, Candidates
from pellucid_server.tasks.decoders.suppress import Limits, choose
from pellucid_server.types import Array

IOU = 0.8 * (5**0.5 - 1) / 2
"""Far from every ratio of small whole numbers, so that rounding decides nothing."""

Row = tuple[int, int, int, int, float, int]
corner = st.integers(-15, 10)
extent = st.integers(1, 15)
rows = st.lists(
    st.tuples(
        corner, corner, extent, extent, st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.integers(0, 2)
    ),
    max_size=40,
)


def candidates(found: Sequence[Row], *, needs_nms: bool = True) -> Candidates:
    values = np.array(found, np.float32).reshape(-1, 6)
    boxes = np.concatenate([values[:, :2], values[:, :2] + values[:, 2:4]], axis=1)
    return Candidates(boxes, values[:, 4], values[:, 5].astype(np.int64), needs_nms)


def overlap(first: Array, second: Array) -> float:
    """Intersection over union, by the definition."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = float(max(width, 0) * max(height, 0))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (first, second)]
    return both / (sum(areas) - both)


def plain_suppression(found: Candidates, iou: float) -> list[int]:
    """Greedy, one box after the other, of each class alone."""
    assert found.class_ids is not None
    kept: list[int] = []
    for row in sorted(range(len(found.boxes)), key=lambda each: (-found.scores[each], each)):
        rivals = [each for each in kept if found.class_ids[each] == found.class_ids[row]]
        if all(overlap(found.boxes[row], found.boxes[each]) <= iou for each in rivals):
            kept.append(row)
    return kept


@given(rows)
def test_suppression_is_that_of_the_definition(found: list[Row]) -> None:
    """Negative coordinates, equal confidences and equal boxes among them."""
    made = candidates(found)
    chosen = choose(made, Limits(0.0, IOU, MOST))
    assert chosen.rows.tolist() == plain_suppression(made, IOU)


@given(rows, st.integers(1, 10), st.sampled_from([0.3, 0.6]))
def test_limits_take_the_first_of_the_unlimited(
    found: list[Row], most: int, confidence: float
) -> None:
    made = candidates(found)
    everything = choose(made, Limits(0.0, IOU, MOST))
    limited = choose(made, Limits(confidence, IOU, most, frozenset({1})))
    wanted = (everything.scores >= confidence) & (everything.class_ids == 1)
    assert limited.rows.tolist() == everything.rows[wanted][:most].tolist()


def test_of_equal_boxes_the_first_stays() -> None:
    chosen = choose(candidates([(0, 0, 9, 9, 0.5, 0)] * 3), Limits(0.1, 0.5, 10))
    assert chosen.rows.tolist() == [0]


def test_equal_boxes_stay_where_any_overlap_is_allowed() -> None:
    chosen = choose(candidates([(0, 0, 9, 9, 0.5, 0)] * 3), Limits(0.1, 1.0, 10))
    assert chosen.rows.tolist() == [0, 1, 2]


def test_an_overlap_of_just_the_threshold_is_allowed() -> None:
    found = [(0, 0, 10, 10, 0.9, 0), (0, 0, 10, 5, 0.8, 0)]
    assert choose(candidates(found), Limits(0.1, 0.5, 10)).rows.tolist() == [0, 1]


def test_a_confidence_of_just_the_threshold_is_enough() -> None:
    found = [(0, 0, 10, 10, 0.5, 0), (20, 0, 10, 5, 0.25, 0)]
    assert choose(candidates(found), Limits(0.5, 0.5, 10)).rows.tolist() == [0]


def test_classes_do_not_suppress_each_other() -> None:
    """As cv2.dnn.NMSBoxesBatched lets them, with these coordinates."""
    found = [(0, 0, 100, 100, 0.9, 0), (-101, -101, 100, 100, 0.8, 1)]
    assert choose(candidates(found), Limits(0.1, 0.5, 10)).rows.tolist() == [0, 1]


def test_a_set_of_boxes_is_not_suppressed() -> None:
    found = candidates([(0, 0, 9, 9, 0.5, 0)] * 3, needs_nms=False)
    assert len(choose(found, Limits(0.1, 0.5, 10)).rows) == 3


def test_without_an_overlap_threshold_there_is_no_suppression() -> None:
    found = candidates([(0, 0, 9, 9, 0.5, 0)] * 3)
    assert len(choose(found, Limits(0.1, None, 10)).rows) == 3


@pytest.mark.parametrize("needs_nms", [True, False])
def test_no_confidence_is_no_object_at_any_threshold(*, needs_nms: bool) -> None:
    found = candidates([(0, 0, 9, 9, 0.0, 0)], needs_nms=needs_nms)
    assert len(choose(found, Limits(0.0, 0.5, 10)).rows) == 0


@pytest.mark.parametrize(("multi_label", "expected"), [(False, [(0, 1)]), (True, [(0, 1), (0, 0)])])
def test_a_box_may_be_of_several_classes(
    *, multi_label: bool, expected: list[tuple[int, int]]
) -> None:
    boxes = np.array([[0, 0, 9, 9]], np.float32)
    found = Candidates(boxes, np.array([[0.6, 0.7, 0.2]], np.float32))
    chosen = choose(found, Limits(0.5, 0.5, 10, multi_label=multi_label))
    assert list(zip(chosen.rows, chosen.class_ids, strict=True)) == expected


def test_before_suppression_only_the_best_are_kept() -> None:
    """The 10,001st of equal boxes apart never comes to suppression."""
    grid = np.arange(MOST + 1)
    corners = np.stack([grid % 200, grid // 200], axis=1).astype(np.float32) * 10
    scores = np.full(MOST + 1, 0.5, np.float32)
    scores[0] = 0.25
    found = Candidates(
        np.concatenate([corners, corners + 5], axis=1), scores, np.arange(MOST + 1) % 50
    )
    chosen = choose(found, Limits(0.0, 0.5, 2 * MOST))
    assert len(chosen.rows) == MOST
    assert 0 not in chosen.rows
