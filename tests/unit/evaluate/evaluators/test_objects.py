"""Detection and instance segmentation beside COCO's own code and VOC's rules."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as coco

from pellucid_server.evaluate.annotations import Labels, Object, Objects, Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.evaluate.report import NOTHING, Confusion, Report
from pellucid_server.types import (
    Array,
    Box,
    Category,
    Detection,
    DetectionResult,
    Instance,
    InstanceSegmentationResult,
    Size,
    Task,
)

LABELS = ["a", "b", "c", "d", "never"]
OPTIONS = Options(LABELS)
SIZE = Size(480, 640)
SMALL = 6
"""Images with masks: ellipses take time to draw."""
COCO_NAMES = (
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)


@dataclass(frozen=True)
class Scene:
    """Annotated and predicted objects of one image."""

    truth: tuple[Object, ...]
    found: tuple[Detection, ...]


def scene(seed: int) -> Scene:
    """Objects of every size, crowds, near and far predictions, equal confidences and boxes."""
    rng = np.random.default_rng(seed)
    boxes = some_boxes(rng, int(rng.integers(0, 9)))
    classes = rng.integers(0, 3, len(boxes))
    truth = tuple(
        Object(
            LABELS[each],
            box_of(box),
            crowd=bool(rng.random() < 0.15),
            area=float(box[2] * box[3] * rng.uniform(0.5, 1)) if rng.random() < 0.5 else None,
        )
        for each, box in zip(classes, boxes, strict=True)
    )
    found = some_boxes(rng, int(rng.integers(0, 30)))
    kinds = rng.integers(0, 4, len(found))
    for index in np.flatnonzero(rng.random(len(found)) < 0.7) if len(boxes) else []:
        source = rng.integers(len(boxes))
        found[index] = boxes[source] + rng.normal(0, rng.choice([0, 1, 4, 9]), 4)
        kinds[index] = classes[source] if rng.random() < 0.8 else kinds[index]
    found = np.c_[found[:, :2].clip(0, 400), found[:, 2:].clip(1, 200)].round(2)
    scores = np.sort(rng.integers(1, 21, len(found)) / 20)[::-1]
    return Scene(truth, tuple(map(detection, found, kinds.tolist(), scores.tolist())))


def some_boxes(rng: np.random.Generator, count: int) -> Array:
    sides = np.exp(rng.uniform(1, 5.2, (count, 2)))
    return np.asarray(np.c_[rng.integers(0, 300, (count, 2)), sides].round(2))


def box_of(xywh: Array) -> Box:
    x, y, width, height = map(float, xywh)
    return Box(x, y, x + width, y + height)


def detection(xywh: Array, class_id: int, score: float) -> Detection:
    return Detection(box_of(xywh), Category(class_id, LABELS[class_id], score))


def xywh(box: Box) -> list[float]:
    edges = (box.x_min, box.y_min, box.x_max - box.x_min, box.y_max - box.y_min)
    return [round(each, 2) for each in edges]


@cache
def mask_of(box: Box, size: Size = SIZE) -> Array:
    """An ellipse."""
    y, x = 0.5 + np.mgrid[: size.height, : size.width]
    middle = ((box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2)
    sides = (box.x_max - box.x_min, box.y_max - box.y_min)
    return np.asarray(
        (2 * (x - middle[0]) / sides[0]) ** 2 + (2 * (y - middle[1]) / sides[1]) ** 2 <= 1
    )


def rle_of(mask: Array) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def by_coco(scenes: Sequence[Scene], kind: str) -> Any:
    """COCO's own evaluation; difficult objects lie outside of every range of areas."""

    def shape(box: Box) -> dict[str, Any]:
        if kind == "bbox":
            return {"bbox": xywh(box)}
        return {"segmentation": rle_of(mask_of(box))}

    def area(each: Object) -> float:
        if each.difficult:
            return 1e11
        measured = math.prod(xywh(each.box)[2:]) if kind == "bbox" else mask_of(each.box).sum()
        return float(measured) if each.area is None else each.area

    truth = [
        {
            "id": 0,
            "image_id": image,
            "category_id": LABELS.index(each.label),
            "iscrowd": int(each.crowd),
            "area": area(each),
            "bbox": xywh(each.box),
            **shape(each.box),
        }
        for image, one in enumerate(scenes, start=1)
        for each in one.truth
    ]
    found = [
        {
            "image_id": image,
            "category_id": each.category.class_id,
            "score": each.category.confidence,
            **shape(each.box),
        }
        for image, one in enumerate(scenes, start=1)
        for each in one.found
    ]
    api = COCO(
        {
            "images": [
                {"id": image + 1, "width": SIZE.width, "height": SIZE.height}
                for image in range(len(scenes))
            ],
            "annotations": [each | {"id": index} for index, each in enumerate(truth, start=1)],
            "categories": [{"id": i, "name": label} for i, label in enumerate(LABELS)],
        }
    )
    judged = COCOeval_faster(api, api.loadRes(found), kind)
    judged.run()
    return judged


def boxes_pair(one: Scene) -> tuple[Objects, DetectionResult]:
    return Objects(one.truth), DetectionResult(one.found)


def masks_pair(one: Scene) -> tuple[Objects, InstanceSegmentationResult]:
    truth = tuple(replace(each, rle=rle_of(mask_of(each.box))) for each in one.truth)
    found = tuple(Instance(each.box, each.category, mask_of(each.box)) for each in one.found)
    return Objects(truth), InstanceSegmentationResult(found)


def assert_coco(judged: Any, report: Report) -> None:
    """The twelve figures and every class's, to 1e-14; what COCO gives as -1 is left out."""
    found = {each.name: each.value for each in report.metrics}
    assert [found.get(name, -1.0) for name in COCO_NAMES] == pytest.approx(
        judged.stats.tolist(), rel=1e-14, abs=1e-14
    )
    for each in report.classes:
        precision = judged.eval["precision"][:, :, each.category.class_id, 0, -1]
        figures = {metric.name: metric.value for metric in each.metrics}
        if precision.max() < 0:
            assert figures == {}
            continue
        expected = {
            "ap": precision.mean(),
            "ap_50": precision[0].mean(),
            "ap_75": precision[5].mean(),
        }
        assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_boxes_equal_coco(judge: Any, seed: int) -> None:
    """To 1e-14."""
    scenes = [scene(100 * seed + each) for each in range(40)]
    _, report = judge(Task.DETECTION, list(map(boxes_pair, scenes)), OPTIONS, size=SIZE)
    judged = by_coco(scenes, "bbox")
    assert_coco(judged, report)
    assert min(judged.stats) > 0.02
    curve = next(each for each in report.curves if each.name == "precision_recall")
    precision = judged.eval["precision"][0, :, :3, 0, -1].mean(1)
    assert curve.y == pytest.approx(precision.tolist(), rel=1e-14)


def test_masks_equal_coco(judge: Any) -> None:
    """To 1e-14."""
    scenes = [scene(each) for each in range(SMALL)]
    pairs = list(map(masks_pair, scenes))
    _, report = judge(Task.INSTANCE_SEGMENTATION, pairs, OPTIONS, size=SIZE)
    assert_coco(by_coco(scenes, "segm"), report)


def test_difficult_objects_count_as_those_that_coco_ignores(judge: Any) -> None:
    scenes = [
        replace(
            each,
            truth=tuple(
                replace(found, difficult=index % 3 == 0, area=None)
                for index, found in enumerate(each.truth)
            ),
        )
        for each in map(scene, range(30))
    ]
    _, report = judge(Task.DETECTION, list(map(boxes_pair, scenes)), OPTIONS, size=SIZE)
    assert_coco(by_coco(scenes, "bbox"), report)


def only_truth(one: Scene) -> Scene:
    return replace(one, found=())


def only_found(one: Scene) -> Scene:
    return replace(one, truth=())


def one_class(one: Scene) -> Scene:
    return Scene(
        tuple(replace(each, label="a") for each in one.truth),
        tuple(replace(each, category=replace(each.category, class_id=0)) for each in one.found),
    )


def perfect(one: Scene) -> Scene:
    truth = tuple(replace(each, crowd=False) for each in one.truth)
    found = (
        Detection(each.box, Category(LABELS.index(each.label), each.label, 1.0)) for each in truth
    )
    return Scene(truth, tuple(found))


@pytest.mark.parametrize("change", [only_truth, one_class, perfect])
def test_degenerate_sets_equal_coco(judge: Any, change: Callable[[Scene], Scene]) -> None:
    scenes = [*(change(scene(each)) for each in range(15))]
    scenes[0] = replace(scenes[0], found=(detection(np.array([0, 0, 9, 9]), 0, 0.5),))
    _, report = judge(Task.DETECTION, list(map(boxes_pair, scenes)), OPTIONS, size=SIZE)
    assert_coco(by_coco(scenes, "bbox"), report)


def test_perfect_predictions_are_perfect(judge: Any, figures: Any) -> None:
    pairs = [boxes_pair(perfect(scene(each))) for each in range(20)]
    rows, report = judge(Task.DETECTION, pairs, OPTIONS, size=SIZE)
    found = figures(report)
    for name in ("map", "mar_100", "voc_map", "voc_map_11", "precision", "recall", "f1"):
        assert found[name] == pytest.approx(1, abs=1e-12)
    assert all(row.correct and row.score == 1 for row in rows)


def test_without_anything_annotated_there_is_no_average_precision(judge: Any, figures: Any) -> None:
    pairs = [boxes_pair(only_found(scene(each))) for each in range(5)]
    rows, report = judge(Task.DETECTION, pairs, OPTIONS, size=SIZE)
    assert figures(report) == {"precision": 0, "recall": 0, "f1": 0}
    assert [row.score for row in rows] == [float(row.extra == 0) for row in rows]


def test_average_precision_of_voc(judge: Any, figures: Any) -> None:
    """Against VOC's rules written down plainly, to 1e-13; a third of the objects difficult."""
    scenes = [
        replace(
            each,
            truth=tuple(
                replace(found, crowd=False, difficult=index % 3 == 0)
                for index, found in enumerate(each.truth)
            ),
        )
        for each in map(scene, range(40))
    ]
    _, report = judge(Task.DETECTION, list(map(boxes_pair, scenes)), OPTIONS, size=SIZE)
    areas, points = zip(*(plain_voc(scenes, each) for each in "abc"), strict=True)
    found = figures(report)
    assert found["voc_map"] == pytest.approx(np.mean(areas), rel=1e-13)
    assert found["voc_map_11"] == pytest.approx(np.mean(points), rel=1e-13)
    classes = [{m.name: m.value for m in each.metrics} for each in report.classes[:3]]
    assert [each["voc_ap"] for each in classes] == pytest.approx(areas, rel=1e-13)


def plain_voc(scenes: Sequence[Scene], label: str) -> tuple[float, float]:
    """Average precision of one class: by area and by 11 points."""
    ranked = sorted(
        ((each, one) for one in scenes for each in one.found if each.category.label == label),
        key=lambda pair: -pair[0].category.confidence,
    )
    taken: set[int] = set()
    right, wrong, points = 0, 0, []
    total = sum(e.label == label and not e.difficult for one in scenes for e in one.truth)
    for found, one in ranked:
        truth = [each for each in one.truth if each.label == label]
        best = max(truth, key=lambda each: plain_iou(found.box, each.box), default=None)
        if best is not None and plain_iou(found.box, best.box) >= 0.5:
            if best.difficult:
                continue
            right, wrong = (right, wrong + 1) if id(best) in taken else (right + 1, wrong)
            taken.add(id(best))
        else:
            wrong += 1
        points.append((right / total, right / (right + wrong)))
    highest = [max(p for _, p in points[index:]) for index in range(len(points))]
    steps = np.diff([0, *(recall for recall, _ in points)])
    eleven = [
        max((p for recall, p in points if recall >= least), default=0)
        for least in np.linspace(0, 1, 11)
    ]
    return float(steps @ highest), float(np.mean(eleven))


def plain_iou(one: Box, other: Box) -> float:
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(b.x_max - b.x_min) * (b.y_max - b.y_min) for b in (one, other)]
    return width * height / (sum(areas) - width * height)


def at(x: float, *, label: str = "a", **flags: Any) -> Object:
    return Object(label, Box(x, 0, x + 10, 10), **flags)


def seen(x: float, class_id: int, score: float) -> Detection:
    return detection(np.array([x, 0, 10, 10]), class_id, score)


def test_a_row_counts_what_was_missed_and_what_is_extra(judge: Any) -> None:
    """Found, taken for another class, found twice, made up, missed; one below the threshold."""
    truth = (at(0), at(20, label="b"), at(40, label="c"), at(60))
    found = (
        *(seen(0, 0, 0.9), seen(20, 2, 0.8), seen(1, 0, 0.7), seen(80, 1, 0.6)),
        seen(40, 2, 0.4),
    )
    (row,), report = judge(Task.DETECTION, [(Objects(truth), DetectionResult(found))], OPTIONS)
    assert (row.missed, row.extra, row.correct) == (3, 3, False)
    assert row.score == pytest.approx(2 / 8)
    assert row.predicted == Category(0, "a", 0.9)
    assert set(report.confusions) == {
        Confusion(0, 0, 1),
        Confusion(1, 2, 1),
        Confusion(NOTHING, 0, 1),
        Confusion(NOTHING, 1, 1),
        Confusion(0, NOTHING, 1),
        Confusion(2, NOTHING, 1),
    }
    kinds = {e.category.label: (e.precision, e.recall, e.support) for e in report.classes}
    assert kinds == {"a": (1 / 2, 1 / 2, 2), "b": (0, 0, 1), "c": (0, 0, 1)}


def test_the_threshold_decides_rows_but_not_average_precision(judge: Any, figures: Any) -> None:
    pairs = [(Objects((at(0), at(40))), DetectionResult((seen(0, 0, 0.9), seen(40, 0, 0.3))))]
    low, high = (
        judge(Task.DETECTION, pairs, Options(LABELS, threshold=each)) for each in (0.2, 0.8)
    )
    assert (low[0][0].missed, high[0][0].missed) == (0, 1)
    assert figures(low[1])["map"] == figures(high[1])["map"] == pytest.approx(1)


def test_difficult_and_crowded_objects_count_neither_way(judge: Any) -> None:
    truth = (at(0, difficult=True), at(20, crowd=True), at(60, difficult=True))
    found = (seen(0, 0, 0.9), seen(20, 0, 0.8), seen(21, 0, 0.7))
    (row,), report = judge(Task.DETECTION, [(Objects(truth), DetectionResult(found))], OPTIONS)
    assert (row.missed, row.extra, row.score, row.correct) == (0, 0, 1, True)
    assert report.confusions == ()


def test_classes_that_nobody_looked_for_are_not_wrong(judge: Any) -> None:
    found = DetectionResult((seen(0, 0, 0.9), seen(40, 1, 0.8), seen(80, 2, 0.7)))
    (row,), _ = judge(Task.DETECTION, [(Objects((at(0),), complete=("b",)), found)], OPTIONS)
    assert (row.extra, row.detail["classes"]) == (1, [0, 1])


def test_images_without_annotation_are_only_predicted(judge: Any, figures: Any) -> None:
    found = DetectionResult((seen(0, 0, 0.9), seen(40, 1, 0.3)))
    (row,), report = judge(Task.DETECTION, [(None, found)], OPTIONS)
    assert (row.correct, row.score, row.predicted) == (None, None, Category(0, "a", 0.9))
    assert figures(report) == {}
    assert [each.category.label for each in report.classes] == ["a"]
    assert sum(report.curves[0].counts) == 2


def test_rows_keep_boxes_and_scores_short_and_in_order(judge: Any) -> None:
    scores = np.array([0.1, 0.2, 1 / 3], np.float32)[::-1]
    found = [detection(np.array([1 / 3, 0, 10, 10]), 0, float(each)) for each in scores]
    (row,), _ = judge(Task.DETECTION, [(None, DetectionResult(tuple(found)))], OPTIONS)
    assert row.detail["scores"] == [0.33333334, 0.2, 0.1]
    assert row.detail["boxes"] == [[0.33, 0, 10, 10]] * 3


def masked(**shape: Any) -> Objects:
    return Objects((Object("a", Box(2, 2, 6, 5), **shape),))


RUNS = rle_of(mask_of(Box(2, 2, 6, 5), Size(8, 10)))


@pytest.mark.parametrize(
    "shape",
    [
        {"polygons": ((2.0, 2.0, 6.0, 2.0, 6.0, 5.0, 2.0, 5.0),)},
        {"polygons": ((2.0, 2.0, 4.0, 2.0, 4.0, 5.0, 2.0, 5.0), (4.0, 2, 6, 2, 6, 5, 4, 5))},
        {"rle": {"size": [8, 10], "counts": [18, 3, 5, 3, 5, 3, 5, 3, 35]}},
        {"rle": rle_of(np.pad(np.ones((3, 4), bool), ((2, 3), (2, 4))))},
    ],
)
def test_masks_are_read_from_outlines_and_runs(judge: Any, shape: dict[str, Any]) -> None:
    mask = np.pad(np.ones((3, 4), bool), ((2, 3), (2, 4)))
    found = Instance(Box(2, 2, 6, 5), Category(0, "a", 0.9), mask)
    pairs = [(masked(**shape), InstanceSegmentationResult((found,)))]
    (row,), report = judge(Task.INSTANCE_SEGMENTATION, pairs, OPTIONS, size=Size(8, 10))
    assert row.score == 1
    assert report.metrics[0].value == pytest.approx(1)
    assert row.detail["truth"]["areas"] == [12]
    assert row.detail["truth"]["masks"] == row.detail["masks"]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({}, "no mask"),
        ({"polygons": ((1.0, 1.0, 2.0, 2.0),)}, "4 numbers"),
        ({"polygons": ((1.0, 1.0, 2.0, 2.0, 3.0),)}, "5 numbers"),
        ({"polygons": ((1.0, 1.0, 1e9, 2.0, 3.0, 3.0),)}, "far outside"),
        ({"polygons": ((1.0, 1.0, float("nan"), 2.0, 3.0, 3.0),)}, "far outside"),
        ({"rle": {"size": [8, 11], "counts": RUNS["counts"]}}, r"\[8, 11\].*\[8, 10\]"),
        ({"rle": {"counts": RUNS["counts"]}}, "size is None"),
        ({"rle": {"size": [8, 10], "counts": [81]}}, "81 pixels.*80"),
        ({"rle": {"size": [8, 10], "counts": [90, -10]}}, "80 pixels"),
        ({"rle": {"size": [8, 10], "counts": [80.0]}}, "no whole number"),
        ({"rle": {"size": [8, 10], "counts": RUNS["counts"][:-1]}}, "run lengths"),
        ({"rle": {"size": [8, 10], "counts": "o" * 40}}, "out of place"),
        ({"rle": {"size": [8, 10], "counts": "é"}}, "cannot be read"),
        ({"rle": {"size": [8, 10], "counts": None}}, "neither numbers"),
    ],
)
def test_masks_that_are_none(shape: dict[str, Any], message: str) -> None:
    judge = evaluator(Task.INSTANCE_SEGMENTATION, OPTIONS)
    with pytest.raises(BadAnnotation, match=message):
        judge.row(
            0,
            Sample("a.png", masked(**shape)),
            InstanceSegmentationResult(()),
            lambda _: np.zeros(0),
            Size(8, 10),
        )


@pytest.mark.parametrize(
    ("annotation", "size", "message"),
    [
        (Objects((at(0, label="dog"),)), SIZE, "no class 'dog'"),
        (Labels(("a",)), SIZE, "no objects"),
        (Objects(()), None, "no image"),
    ],
)
def test_annotations_that_do_not_fit(annotation: Any, size: Size | None, message: str) -> None:
    judge = evaluator(Task.DETECTION, OPTIONS)
    sample = Sample("a.png", annotation)
    with pytest.raises(BadAnnotation, match=message):
        judge.row(0, sample, DetectionResult(()), lambda _: np.zeros(0), size)


def test_unlikely_objects_are_asked_for_whatever_the_threshold() -> None:
    for task in (Task.DETECTION, Task.INSTANCE_SEGMENTATION):
        asked = evaluator(task, Options((), threshold=0.9)).parameters()
        limits = getattr(asked, "detection", asked)
        assert (limits.confidence_threshold, limits.max_detections) == (0.001, 100)
