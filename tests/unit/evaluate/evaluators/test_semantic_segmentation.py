from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from pellucid_server.evaluate.annotations import LabelMap, Sample, Values
from pellucid_server.evaluate.evaluator import BadAnnotation, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.types import (
    Category,
    ClassArea,
    SemanticSegmentationParameters,
    SemanticSegmentationResult,
    Task,
)

LABELS = ["sky", "road", "car", "tree"]
NAMES = ("tree", "Sky", "road", "car")
"""The data set's own order."""
PALETTE = {(0, 0, 0): 0, (10, 0, 0): 1, (0, 0, 255): 2, (255, 255, 255): 3}


def answer(label_map: Any) -> SemanticSegmentationResult:
    area = ClassArea(Category(1, "road", 0.5), 1, 1.0)
    return SemanticSegmentationResult(np.asarray(label_map, np.uint16), (area,))


def test_equal_to_scikit_learn_without_ignored_pixels(judge: Any, figures: Any) -> None:
    """To 1e-13; whatever the model says of ignored pixels."""
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 4, (6, 12, 10))
    said = np.where(rng.random(truths.shape) < 0.5, truths, rng.integers(0, 4, truths.shape))
    ignored = rng.random(truths.shape) < 0.2
    files = {
        f"{index}.png": np.where(hidden, 255, (truth + 1) % 4).astype(np.uint8)
        for index, (truth, hidden) in enumerate(zip(truths, ignored, strict=True))
    }
    pairs = [(LabelMap(f"{i}.png", NAMES), answer(each)) for i, each in enumerate(said)]
    rows, report = judge(
        Task.SEMANTIC_SEGMENTATION, pairs, Options(LABELS, classes=NAMES), files.__getitem__
    )
    t, p = truths[~ignored], said[~ignored]
    found = figures(report)
    assert found["mean_iou"] == pytest.approx(
        metrics.jaccard_score(t, p, average="macro"), rel=1e-13
    )
    assert found["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(t, p), rel=1e-13)
    for row, truth, each, hidden in zip(rows, truths, said, ignored, strict=True):
        expected = metrics.jaccard_score(truth[~hidden], each[~hidden], average="macro")
        assert row.score == pytest.approx(expected, rel=1e-13)
    assert [each.category.label for each in report.classes] == LABELS


def test_colours_and_plain_values_are_read_alike(judge: Any) -> None:
    values = np.array([[0, 1], [2, 3]], np.uint8)
    colors = np.array(list(PALETTE), np.uint8)[values]
    files = {"v": values, "c": colors, "rgb": np.repeat(values[..., None], 3, 2)}
    said = answer([[3, 0], [1, 2]])
    pairs = [
        (LabelMap("v", NAMES), said),
        (LabelMap("c", NAMES, PALETTE), said),
        (LabelMap("rgb", NAMES), said),
        (LabelMap("v", ()), answer(values)),
    ]
    rows, _ = judge(Task.SEMANTIC_SEGMENTATION, pairs, Options(LABELS), files.__getitem__)
    assert [row.score for row in rows] == [1, 1, 1, 1]


def test_a_grey_map_shows_shades_where_the_data_set_names_colours(judge: Any) -> None:
    files = {"m": np.array([[0, 255], [255, 0]], np.uint8)}
    binary = {(0, 0, 0): 0, (255, 255, 255): 1}
    pairs = [(LabelMap("m", (), binary, None), answer([[0, 1], [1, 0]]))]
    (row,), _ = judge(Task.SEMANTIC_SEGMENTATION, pairs, Options(LABELS), files.__getitem__)
    assert row.score == 1


def test_classes_that_were_missed_or_made_up(judge: Any) -> None:
    files = {"m": np.array([[0, 0, 1, 255]], np.uint8)}
    pairs = [(LabelMap("m", ()), answer([[0, 2, 3, 3]]))]
    (row,), _ = judge(Task.SEMANTIC_SEGMENTATION, pairs, Options(LABELS), files.__getitem__)
    assert (row.missed, row.extra, row.correct) == (1, 2, None)
    assert row.score == pytest.approx((1 / 2 + 0 + 0 + 0) / 4)


def test_an_image_that_is_ignored_altogether_is_not_wrong(judge: Any) -> None:
    files = {"m": np.full((2, 2), 255, np.uint8)}
    pairs = [(LabelMap("m", ()), answer([[0, 1], [2, 3]]))]
    (row,), report = judge(Task.SEMANTIC_SEGMENTATION, pairs, Options(LABELS), files.__getitem__)
    assert (row.score, report.metrics) == (1, ())


def test_a_single_label_is_told_from_the_background(judge: Any) -> None:
    files = {"m": np.array([[0, 1], [1, 1]], np.uint8)}
    names = ("Background", "person")
    pairs = [(LabelMap("m", names), answer([[0, 1], [1, 0]]))]
    _, report = judge(
        Task.SEMANTIC_SEGMENTATION, pairs, Options(["person"], classes=names), files.__getitem__
    )
    found = [(each.category.label, each.metrics[0].value) for each in report.classes]
    assert found == [("background", 0.5), ("person", 2 / 3)]


def test_images_without_annotation_are_only_predicted(judge: Any) -> None:
    (row,), report = judge(Task.SEMANTIC_SEGMENTATION, [(None, answer([[1]]))])
    assert row.predicted == Category(1, "road", 0.5)
    assert (row.score, report.metrics) == (None, ())


def test_the_threshold_is_asked_for() -> None:
    judge = evaluator(Task.SEMANTIC_SEGMENTATION, Options((), threshold=0.25))
    assert judge.parameters() == SemanticSegmentationParameters(threshold=0.25)


@pytest.mark.parametrize(
    ("annotation", "values", "message"),
    [
        (LabelMap("m", ()), np.zeros((2, 3), np.uint8), "3 x 2.*2 x 2"),
        (LabelMap("m", NAMES), np.full((2, 2), 4, np.uint8), "value 4.*4 classes"),
        (LabelMap("m", ("a",)), np.zeros((2, 2), np.uint8), "no class 'a'"),
        (LabelMap("m", ()), np.full((2, 2), 9, np.uint8), "no class '9'"),
        (LabelMap("m", (), PALETTE), np.full((2, 2), 7, np.uint8), "#070707"),
        (LabelMap("m", (), PALETTE), np.full((2, 2, 3), 7, np.uint8), "#070707"),
        (LabelMap("m", ()), np.arange(12, dtype=np.uint8).reshape(2, 2, 3), "has colours"),
        (Values((1.0,)), np.zeros((2, 2), np.uint8), "no picture of classes"),
    ],
)
def test_annotations_that_do_not_fit(annotation: Any, values: Any, message: str) -> None:
    judge = evaluator(Task.SEMANTIC_SEGMENTATION, Options(LABELS))
    with pytest.raises(BadAnnotation, match=message):
        judge.row(0, Sample("a.png", annotation), answer([[0, 1], [2, 3]]), lambda _: values, None)
