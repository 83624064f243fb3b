"""Objects with masks, from a model's outputs: D-RISE with the overlap of masks."""

import numpy as np
import pytest

from pellucid_server.imaging.frame import Frame
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks import task_model
from pellucid_server.tasks.base import Prepared
from pellucid_server.tasks.objectives import Objective, Target, Wanted
from pellucid_server.types import (
    Array,
    Box,
    InstanceSegmentationParameters,
    Outputs,
    Port,
    Size,
    Task,
)

INPUT = Size(32, 48)
LABELS = ("person", "bicycle", "car")
SEEN = Prepared({}, Frame(INPUT, INPUT, Box(0, 0, 48, 32)))
FREE = {"boxes": (-1, 4), "scores": (-1,), "labels": (-1,), "masks": (-1, *INPUT)}
DEFAULTS = InstanceSegmentationParameters()


def outputs(*rows: tuple[Array, float, int]) -> Outputs:
    """Masks as large as the input, each with its confidence and class."""
    masks = np.array([mask for mask, _, _ in rows], np.float32).reshape(-1, *INPUT)
    return {
        "boxes": np.array([box(mask) for mask, _, _ in rows], np.float32).reshape(-1, 4),
        "scores": np.array([score for _, score, _ in rows], np.float32),
        "labels": np.array([label for _, _, label in rows], np.int64),
        "masks": masks,
    }


def box(mask: Array) -> list[float]:
    y, x = np.nonzero(mask)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def disc(x: float, y: float, radius: float) -> Array:
    rows, columns = np.indices(INPUT) + 0.5
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def iou(one: Array, other: Array) -> float:
    return float((one & other).sum() / (one | other).sum())


def objective(whole: Outputs, *targets: Target, top_k: int = 1) -> Objective:
    ports = [Port(name, "FP32", shape) for name, shape in FREE.items()]
    spec = ModelSpec(task=Task.INSTANCE_SEGMENTATION, labels=LABELS, decode={"type": "mask_rcnn"})
    task = task_model(spec, [Port("x", "FP32", (1, 3, *INPUT))], ports)
    return task.objective(whole, SEEN, DEFAULTS, Wanted(targets, top_k))


ROUND, RING = disc(20, 16, 10), disc(20, 16, 10) & ~disc(20, 16, 7)


def test_objects_of_one_box_differ_by_their_masks() -> None:
    """A ring in the box of a disc: IoU of masks x confidence, and the disc is the better one."""
    found = objective(outputs((ROUND, 0.9, 1)))
    masked = outputs((RING, 0.8, 1), (disc(22, 16, 10), 0.5, 1), (ROUND, 0.6, 2))
    candidates = [0.8 * iou(ROUND, RING), 0.5 * iou(ROUND, disc(22, 16, 10))]
    assert found.scores(masked, 1).item() == pytest.approx(max(candidates), abs=1e-6)
    assert found.scores(outputs(), 1).item() == 0
    assert found.scores(outputs((ROUND, 0.9, 1)), 1).item() == pytest.approx(0.9, abs=1e-6)


def test_a_callers_box_has_no_mask() -> None:
    """Boxes are compared."""
    found = objective(outputs((ROUND, 0.9, 1)), Target(box=Box(*box(ROUND)), label="bicycle"))
    assert found.scores(outputs((RING, 0.8, 1)), 1).item() == pytest.approx(0.8, abs=1e-6)


def test_outputs_without_a_batch_are_read_one_by_one() -> None:
    """As many rows as there are objects: joined along them nobody could tell whose they are."""
    assert not objective(outputs((ROUND, 0.9, 1))).joined
