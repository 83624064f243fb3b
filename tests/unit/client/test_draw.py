"""Pictures: what is drawn where, and that nothing leaves the photo."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid import (
    Box,
    Category,
    ClassArea,
    ClassificationResult,
    Detection,
    DetectionResult,
    Instance,
    InstanceSegmentationResult,
    RawResult,
    SemanticSegmentationResult,
    draw,
)
from pellucid.draw import Canvas, annotate, color_of

GREY = Image.new("RGB", (200, 100), (90, 90, 90))


def changed(picture: Image.Image) -> Any:
    return (np.asarray(picture) != np.asarray(GREY)).any(axis=2)


def test_a_box_is_outlined_in_its_classs_colour() -> None:
    found = Detection(Box(50, 40, 150, 90), Category(4, "cat", 0.9))
    picture = annotate(GREY, DetectionResult(detections=(found,)))
    assert picture.getpixel((100, 90)) == color_of(4)
    assert changed(picture)[55:80, 60:140].sum() == 0
    assert changed(picture)[:40].any()


def test_the_photo_itself_stays() -> None:
    photo = GREY.copy()
    annotate(photo, ClassificationResult(categories=(Category(0, "cat", 1.0),)))
    assert photo.tobytes() == GREY.tobytes()


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 200, 100),
        Box(-50, -50, 20, 20),
        Box(180, 80, 900, 900),
        Box(500, 500, 600, 600),
        Box(10, 10, 10, 10),
    ],
)
@pytest.mark.parametrize("size", [(200, 100), (9, 9), (1, 1)])
def test_boxes_and_labels_of_any_place_are_drawn(box: Box, size: tuple[int, int]) -> None:
    found = Detection(box, Category(1, "a label that is longer than the photo is wide " * 3, 0.5))
    photo = GREY.resize(size)
    assert annotate(photo, DetectionResult(detections=(found,))).size == size


def test_labels_do_not_cover_each_other() -> None:
    canvas = Canvas.on(GREY)
    for text in ("one", "two", "three"):
        canvas.tag(Box(50, 40, 150, 80), text, (255, 0, 0))
    tags = canvas._tags
    assert not any(draw._overlap(a, b) for a in tags for b in tags if a is not b)
    assert all(tag.y_min >= 0 and tag.y_max <= 100 for tag in tags)


def test_a_mask_tints_its_pixels_alone() -> None:
    mask = np.zeros((100, 200), bool)
    mask[60:80, 20:60] = True
    found = Instance(Box(20, 60, 60, 80), Category(1, "cat", 0.5), mask)
    plain = annotate(GREY, DetectionResult(detections=(Detection(found.box, found.category),)))
    tinted = annotate(GREY, InstanceSegmentationResult(instances=(found,)))
    difference = (np.asarray(plain) != np.asarray(tinted)).any(axis=2)
    assert difference[65:75, 25:55].all()
    assert not difference[~mask].any()


def test_classes_of_a_segmentation_are_tinted_and_black_is_left() -> None:
    label_map = np.zeros((100, 200), np.uint8)
    label_map[50:] = 1
    areas = (
        ClassArea(Category(0, "background", 1.0), 10_000, 0.5, (0, 0, 0)),
        ClassArea(Category(1, "cat", 1.0), 10_000, 0.5, (255, 0, 0)),
    )
    picture = annotate(GREY, SemanticSegmentationResult(label_map=label_map, areas=areas))
    assert changed(picture)[50:].all()
    assert not changed(picture)[40:50].any()


def test_neighbouring_classes_have_different_colours() -> None:
    colours = [np.array(color_of(index), int) for index in range(12)]
    distances = [np.abs(a - b).sum() for i, a in enumerate(colours) for b in colours[i + 1 :]]
    assert min(distances) > 40


def test_raw_outputs_have_no_picture() -> None:
    with pytest.raises(TypeError, match="no picture of a RawResult"):
        annotate(GREY, RawResult())
