"""Semantic segmentation: the mean probability of a class over the pixels it has."""

from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput, NotFound, PellucidError
from pellucid_server.imaging.frame import Frame
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks import task_model
from pellucid_server.tasks.base import Prepared
from pellucid_server.tasks.objectives import Target, Wanted
from pellucid_server.tasks.objectives.areas import Areas
from pellucid_server.tasks.semantic_segmentation import SemanticSegmentation
from pellucid_server.types import Array, Box, Port, SemanticSegmentationParameters, Size, Task

LABELS = ("road", "sky", "tree")
SIZE = Size(4, 6)
SEEN = Prepared({}, Frame(Size(40, 60), SIZE, Box(0, 0, 60, 40)))


def segmenter(
    shape: tuple[int, ...], labels: tuple[str, ...] = LABELS, **decode: Any
) -> SemanticSegmentation:
    spec = ModelSpec(task=Task.SEMANTIC_SEGMENTATION, labels=labels, decode=decode)
    task = task_model(spec, [Port("x", "FP32", (1, 3, *SIZE))], [Port("y", "FP32", shape)])
    assert isinstance(task, SemanticSegmentation)
    return task


def objective(
    task: SemanticSegmentation,
    output: Array,
    *targets: Target,
    top_k: int = 1,
    prepared: Prepared = SEEN,
    threshold: float = 0.5,
) -> Areas:
    parameters = SemanticSegmentationParameters(threshold)
    return task.objective({"y": output}, prepared, parameters, Wanted(targets, top_k))


def random_logits(seed: int, batch: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(batch, 3, *SIZE)).astype(np.float32) * 3


def softmax(logits: Array) -> Array:
    powers = np.exp(logits.astype(np.float64))
    return np.asarray(powers / powers.sum(1, keepdims=True))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_score_is_the_mean_probability_where_the_whole_image_has_the_class(layout: str) -> None:
    """Against the same in NumPy, for each class and each image of a batch, to 1e-6."""
    whole, masked = random_logits(0), random_logits(1, batch=3)
    order = (0, 1, 2, 3) if layout == "NCHW" else (0, 2, 3, 1)
    task = segmenter(whole.transpose(order).shape, layout=layout)
    found = objective(task, whole.transpose(order), top_k=3)
    classes = softmax(whole)[0].argmax(0)
    scores = found.scores({"y": masked.transpose(order)}, 3)
    by_area = np.argsort(-np.bincount(classes.ravel(), minlength=3), kind="stable")
    assert [each.category.class_id for each in found.subjects] == by_area.tolist()
    for column, subject in enumerate(found.subjects):
        class_id = subject.category.class_id
        own = softmax(whole)[0, class_id][classes == class_id]
        assert abs(subject.category.confidence - own.mean()) < 1e-6
        expected = softmax(masked)[:, class_id][:, classes == class_id].mean(1)
        assert np.abs(scores[:, column] - expected).max() < 1e-6


def test_a_binary_model_has_a_background_and_a_foreground() -> None:
    """The foreground from the caller's threshold on; its one label names it."""
    output = np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 1, *SIZE)
    task = segmenter(output.shape, ("person",), type="binary")
    found = objective(task, output, Target(label="person"), threshold=0.9)
    (subject,) = found.subjects
    assert subject.category.class_id == 1
    assert subject.category.confidence == pytest.approx(output[output >= 0.9].mean())
    assert found.scores({"y": 1 - output}, 1).item() == pytest.approx(
        1 - output[output >= 0.9].mean()
    )


def test_of_a_label_map_the_share_that_stays_counts() -> None:
    output = np.zeros((1, *SIZE), np.int64)
    output[0, :, 3:] = 7
    task = segmenter(output.shape, (), type="label_map")
    found = objective(task, output, Target(class_id=7))
    masked = output.copy()
    masked[0, :2, 3:] = 5
    assert found.scores({"y": masked}, 1).item() == 0.5
    assert found.subjects[0].caption == "7 (100.0%)"


def test_a_box_limits_the_pixels() -> None:
    """With a class to its pixels there, alone to the class with the most."""
    output = np.full((1, 3, *SIZE), -9, np.float32)
    output[0, 0, :, :2] = output[0, 1, :, 2:5] = output[0, 2, :, 5:] = 9
    task = segmenter(output.shape)
    alone, named = (
        objective(task, output, target)
        for target in (
            Target(box=Box(0, 0, 35, 10)),
            Target(label="sky", box=Box(0, 0, 35, 10)),
        )
    )
    assert alone.subjects[0].category.label == "road"
    assert (named.subjects[0].category.label, named.subjects[0].box) == ("sky", Box(0, 0, 35, 10))
    assert [each.pixels[0].sum() for each in (alone, named)] == [2, 2]


def test_padding_is_no_pixel_of_a_class() -> None:
    """A letterbox: what the model says beside the image does not count."""
    output = np.full((1, 3, *SIZE), -9, np.float32)
    output[0, 0, :2] = output[0, 1, 2:] = 9
    prepared = Prepared({}, Frame(Size(20, 60), SIZE, Box(0, 0, 60, 40)))
    task = segmenter(output.shape)
    assert [
        each.category.label for each in objective(task, output, top_k=3, prepared=prepared).subjects
    ] == ["road"]


@pytest.mark.parametrize(
    ("target", "error", "field", "telling"),
    [
        (Target(label="tree"), NotFound, "targets[0].label", "no pixel of the image is tree"),
        (Target(class_id=2), NotFound, "targets[0].class_id", "class 2"),
        (Target(label="sky", box=Box(0, 0, 9, 9)), NotFound, "targets[0].label", "in the box"),
        (Target(class_id=3), NotFound, "targets[0].class_id", "0 to 2"),
        (Target(label="tee"), NotFound, "targets[0].label", "'tree'"),
        (Target(detection=0), InvalidInput, "targets[0].detection", "no target by detection"),
        (Target(box=Box(0, 0, 99, 9)), InvalidInput, "targets[0].box", "60 x 40"),
    ],
)
def test_wrong_targets_are_refused(
    target: Target, error: type[PellucidError], field: str, telling: str
) -> None:
    output = np.full((1, 3, *SIZE), -9, np.float32)
    output[0, 0, :, :3] = output[0, 1, :, 3:] = 9
    with pytest.raises(error, match=telling) as caught:
        objective(segmenter(output.shape), output, target)
    assert caught.value.field == field
