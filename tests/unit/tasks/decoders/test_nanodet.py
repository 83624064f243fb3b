from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.types import Array, Size

SIZE = Size(64, 96)
STRIDES = (8, 16, 32)
CLASSES = 5
BINS = 8


def distribution(distance: float) -> Array:
    """Logits over the bins whose mean is the distance: the two nearest share it."""
    shares = np.full(BINS, 1e-12)
    below = int(distance)
    shares[[below, below + 1]] = [1 - (distance - below) + 1e-12, distance - below + 1e-12]
    logits: Array = np.log(shares)
    return logits


def levels(center: float = 0.5) -> dict[str, Array]:
    """Six outputs with one object, (21, 9, 70, 60) of class 3, on stride 16 at cell (2, 1)."""
    outputs: dict[str, Array] = {}
    for stride in STRIDES:
        cells = (64 // stride) * (96 // stride)
        outputs[f"distances {stride}"] = np.zeros((1, cells, 4 * BINS), np.float32)
        outputs[f"scores {stride}"] = np.zeros((1, cells, CLASSES), np.float32)
    cell = 1 * 6 + 2
    x, y = 2 + center, 1 + center
    edges = [x - 21 / 16, y - 9 / 16, 70 / 16 - x, 60 / 16 - y]
    outputs["distances 16"][0, cell] = np.concatenate([distribution(each) for each in edges])
    outputs["scores 16"][0, cell] = [0.1, 0, 0, 0.75, 0]
    return outputs


def check(found: Any) -> None:
    row = int(found.scores.max(axis=1).argmax())
    np.testing.assert_allclose(found.boxes[row], [21, 9, 70, 60], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores[row], [0.1, 0, 0, 0.75, 0], rtol=0, atol=1e-6)
    assert len(found.boxes) == 96 + 24 + 6
    assert found.needs_nms


def test_levels_are_found_by_shape_and_not_by_order(bind: Any) -> None:
    outputs = levels()
    for names in (sorted(outputs), sorted(outputs, reverse=True)):
        shuffled = {name: outputs[name] for name in names}
        check(bind("nanodet", shuffled, labels=CLASSES).candidates(shuffled, SIZE))


def test_a_quiet_cell_lies_around_its_center(bind: Any) -> None:
    """Equal shares of eight bins mean 3.5 strides; the first cell's center is (4, 4)."""
    outputs = levels()
    found = bind("nanodet", outputs, labels=CLASSES).candidates(outputs, SIZE)
    np.testing.assert_allclose(found.boxes[0], [-24, -24, 32, 32], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.boxes[1], [-16, -24, 40, 32], rtol=0, atol=1e-5)


def test_bins_do_in_place_of_labels(bind: Any) -> None:
    outputs = levels()
    check(bind("nanodet", outputs, bins=BINS).candidates(outputs, SIZE))


def test_dimensions_without_a_batch(bind: Any) -> None:
    outputs = {name: each[0] for name, each in levels().items()}
    check(bind("nanodet", outputs, labels=CLASSES).candidates(outputs, SIZE))


@pytest.mark.parametrize("given", [{"labels": CLASSES}, {"bins": BINS}])
def test_all_levels_in_one_output(bind: Any, given: dict[str, Any]) -> None:
    outputs = levels()
    rows = [
        np.concatenate([outputs[f"scores {each}"], outputs[f"distances {each}"]], axis=2)
        for each in STRIDES
    ]
    together = {"output": np.concatenate(rows, axis=1)}
    check(bind("nanodet", together, **given).candidates(together, SIZE))
    check(bind("nanodet", together, free=True, **given).candidates(together, SIZE))


def test_nanodet_plus_starts_at_the_corner_of_a_cell(bind: Any) -> None:
    outputs = levels(center=0)
    check(bind("nanodet", outputs, labels=CLASSES, center=0).candidates(outputs, SIZE))


def test_scores_may_be_logits(bind: Any) -> None:
    outputs = levels()
    for stride in STRIDES:
        shares = outputs[f"scores {stride}"].clip(1e-7, 1 - 1e-7)
        outputs[f"scores {stride}"] = np.log(shares / (1 - shares))
    decoder = bind("nanodet", outputs, labels=CLASSES, scores="logits")
    check(decoder.candidates(outputs, SIZE))


def test_sides_that_strides_do_not_divide_are_rounded_up(bind: Any) -> None:
    size = Size(60, 90)
    outputs = {
        f"{name} {stride}": np.full((1, -(-60 // stride) * -(-90 // stride), last), 0.5, np.float32)
        for stride in STRIDES
        for name, last in (("scores", CLASSES), ("distances", 4 * BINS))
    }
    found = bind("nanodet", outputs, labels=CLASSES).candidates(outputs, size)
    assert len(found.boxes) == 8 * 12 + 4 * 6 + 2 * 3


@pytest.mark.parametrize(
    ("labels", "options", "field"),
    [
        (0, {}, "decode.bins"),
        (6, {}, "decode.bins"),
        (CLASSES, {"bins": 9}, "decode.bins"),
        (4 * BINS, {}, "decode.bins"),
        (0, {"bins": 1}, "decode.bins"),
        (CLASSES, {"strides": []}, "decode.strides"),
        (CLASSES, {"strides": [8, 0]}, "decode.strides"),
    ],
)
def test_labels_bins_and_strides_that_do_not_fit_are_refused(
    bind: Any, labels: int, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        bind("nanodet", levels(), labels=labels, **options)
    assert caught.value.field == field


def test_levels_of_another_input_are_a_failure(bind: Any) -> None:
    outputs = levels()
    with pytest.raises(InferenceFailed, match="layout nanodet"):
        bind("nanodet", outputs, labels=CLASSES).candidates(outputs, Size(64, 64))
