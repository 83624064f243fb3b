"""Tasks that answer with a picture: 1 / (1 + MSE / V), from the model's outputs."""

from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks import TaskModel, task_model
from pellucid_server.tasks.objectives import Objective, Target, Wanted
from pellucid_server.types import (
    Array,
    Box,
    Image,
    InpaintingParameters,
    Outputs,
    Port,
    Size,
    SuperResolutionParameters,
    Task,
)

PATCH = Box(10, 4, 20, 8)


def photo(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def model(task: Task, output: tuple[int, ...], size: tuple[int, int] = (8, 12), **spec: Any) -> Any:
    inputs = [Port("x", "FP32", (1, 3, *size)), Port("mask", "FP32", (1, 1, *size))]
    described = ModelSpec.model_validate({"task": task, **spec})
    return task_model(described, inputs, [Port("y", "FP32", output)])


def objective(
    task: TaskModel[Any, Any], image: Image, parameters: Any, output: Array, *targets: Target
) -> Objective:
    wanted = Wanted(targets)
    prepared = task.view(image, parameters, wanted)
    return task.objective({"y": output}, prepared, parameters, wanted)


def outputs(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def agreement(whole: Array, masked: Array, rows: slice, columns: slice) -> float:
    """Of pictures of channels x height x width in [0, 1]."""
    whole, masked = whole.astype(np.float64) * 255, masked.astype(np.float64) * 255
    error = ((whole - masked)[:, rows, columns] ** 2).mean()
    return float(1 / (1 + error / whole.var(axis=(1, 2)).mean()))


def test_the_score_is_the_agreement_of_the_patch() -> None:
    """A style of 8 x 12 for a photo of 16 x 24: each box touches half as many pixels; to 1e-6."""
    task = model(Task.STYLE_TRANSFER, (1, 3, 8, 12))
    whole, masked = outputs(1, (1, 3, 8, 12)), outputs(2, (3, 3, 8, 12))
    found = objective(
        task,
        photo(16, 24),
        task.parameters(),
        whole,
        Target(box=PATCH),
        Target(box=Box(0, 0, 1, 1)),
    )
    expected = [
        [agreement(whole[0], each, slice(2, 4), slice(5, 10)),
         agreement(whole[0], each, slice(0, 1), slice(0, 1))]
        for each in masked
    ]  # fmt: skip
    np.testing.assert_allclose(found.scores({"y": masked}, 3), expected, atol=1e-6)
    assert found.scores({"y": whole}, 1).tolist() == [[1, 1]]
    assert [each.box for each in found.subjects] == [PATCH, Box(0, 0, 1, 1)]


def test_without_targets_the_whole_picture_counts() -> None:
    task = model(Task.STYLE_TRANSFER, (1, 3, 8, 12))
    whole, masked = outputs(1, (1, 3, 8, 12)), outputs(2, (1, 3, 8, 12))
    found = objective(task, photo(8, 12), task.parameters(), whole)
    assert found.subjects[0].caption == "the picture"
    expected = agreement(whole[0], masked[0], slice(None), slice(None))
    assert found.scores({"y": masked}, 1).item() == pytest.approx(expected, abs=1e-6)


def test_a_picture_of_one_colour_has_a_score() -> None:
    """Its variance counts as one grey level squared."""
    task = model(Task.STYLE_TRANSFER, (1, 3, 8, 12))
    grey = np.full((1, 3, 8, 12), 0.5, np.float32)
    found = objective(task, photo(8, 12), task.parameters(), grey)
    assert found.scores({"y": grey + 2 / 255}, 1).item() == pytest.approx(1 / (1 + 4), abs=1e-4)


HOLE = InpaintingParameters(rectangles=(Box(10, 4, 14, 8),))
FILLS: dict[str, Any] = {"inputs": {"mask": "mask"}, "preprocess": {"input": "x"}}


def test_of_an_inpainting_the_filled_holes_count() -> None:
    """Pixels beside the holes stay as they were sent, whatever the model makes of them."""
    task = model(Task.INPAINTING, (1, 3, 8, 12), **FILLS)
    whole = outputs(1, (1, 3, 8, 12))
    found = objective(task, photo(16, 24), HOLE, whole)
    beside, within = whole.copy(), whole.copy()
    beside[..., :5] = 0
    within[..., 2:4, 5:7] = 0
    assert found.scores({"y": beside}, 1).item() == 1
    expected = agreement(whole[0], within[0], slice(2, 4), slice(5, 7))
    assert found.scores({"y": within}, 1).item() == pytest.approx(expected, abs=1e-6)
    assert found.subjects[0].caption == "the filled holes"


def test_a_box_without_a_hole_is_refused() -> None:
    task = model(Task.INPAINTING, (1, 3, 8, 12), **FILLS)
    with pytest.raises(InvalidInput, match="makes nothing") as caught:
        objective(task, photo(16, 24), HOLE, outputs(1, (1, 3, 8, 12)), Target(box=Box(0, 0, 4, 4)))
    assert caught.value.field == "targets[0].box"


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (Target(label="cat"), "targets[0].label"),
        (Target(class_id=0), "targets[0].class_id"),
        (Target(detection=0), "targets[0].detection"),
        (Target(), "targets[0]"),
        (Target(box=Box(0, 0, 25, 99)), "targets[0].box"),
    ],
)
def test_wrong_targets_are_refused(target: Target, field: str) -> None:
    task = model(Task.STYLE_TRANSFER, (1, 3, 8, 12))
    with pytest.raises(InvalidInput) as caught:
        objective(task, photo(16, 24), task.parameters(), outputs(1, (1, 3, 8, 12)), target)
    assert caught.value.field == field


TWICE: dict[str, Any] = {"decode": {"scale": 2}, "preprocess": {"resize": "none", "input": "x"}}
TILES = SuperResolutionParameters(tile_size=32, tile_overlap=4)


def test_a_large_image_is_enlarged_within_the_tile_around_the_patch() -> None:
    """The input shows 32 x 32 pixels about the box, and the patch is where the box is."""
    task = model(Task.SUPER_RESOLUTION, (1, 3, -1, -1), (-1, -1), **TWICE)
    image = photo(100, 90)
    wanted = Wanted((Target(box=Box(50, 60, 54, 62)),))
    prepared = task.view(image, TILES, wanted)
    assert prepared.frame == Frame(Size(100, 90), Size(32, 32), Box(36, 45, 68, 77))
    assert np.array_equal(prepared.feeds["x"][0], image[45:77, 36:68])
    whole, masked = outputs(1, (1, 3, 64, 64)), outputs(2, (1, 3, 64, 64))
    found = task.objective({"y": whole}, prepared, TILES, wanted)
    expected = agreement(whole[0], masked[0], slice(30, 34), slice(28, 36))
    assert found.scores({"y": masked}, 1).item() == pytest.approx(expected, abs=1e-6)


def test_an_image_of_a_tiles_size_is_explained_whole() -> None:
    task = model(Task.SUPER_RESOLUTION, (1, 3, -1, -1), (-1, -1), **TWICE)
    prepared = task.view(photo(20, 30), TILES, Wanted((Target(box=Box(0, 0, 4, 4)),)))
    assert prepared.frame.input == Size(20, 30)
    assert task.view(photo(60, 70), TILES, Wanted()).frame.input == Size(60, 70)


def test_padding_of_a_model_of_one_size_is_no_part_of_the_answer() -> None:
    """An image of 6 x 10 in an input of 8 x 12: only what it becomes counts."""
    task = model(Task.SUPER_RESOLUTION, (1, 3, 16, 24), **TWICE)
    small = SuperResolutionParameters(tile_overlap=0)
    whole = outputs(1, (1, 3, 16, 24))
    found = objective(task, photo(6, 10), small, whole)
    padded: Outputs = {"y": np.where(np.arange(24) < 20, whole, 0)}
    assert found.scores(padded, 1).item() == 1


@pytest.mark.parametrize(
    ("size", "targets", "field"),
    [
        ((100, 90), (Target(box=Box(0, 0, 40, 4)),), "targets"),
        ((1100, 1000), (), "targets"),
        ((100, 90), (Target(box=Box(0, 0, 95, 4)),), "targets[0].box"),
    ],
)
def test_what_cannot_be_enlarged_at_once_is_refused(
    size: tuple[int, int], targets: tuple[Target, ...], field: str
) -> None:
    task = model(Task.SUPER_RESOLUTION, (1, 3, -1, -1), (-1, -1), **TWICE)
    with pytest.raises(InvalidInput) as caught:
        task.view(np.zeros((*size, 3), np.uint8), TILES, Wanted(targets))
    assert caught.value.field == field
