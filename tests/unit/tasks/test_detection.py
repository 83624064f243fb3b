from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.imaging.frame import Frame
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import task_model
from pellucid_server.tasks.base import Prepared
from pellucid_server.tasks.detection import ObjectDetection
from pellucid_server.types import (
    Array,
    Box,
    Detection,
    DetectionParameters,
    Feeds,
    Image,
    Outputs,
    Port,
    Size,
    Task,
)

LABELS = ("person", "bicycle", "car")
INPUT = Size(64, 96)
IMAGE = Port("image", "FP32", (1, 3, *INPUT))
PORTS = [
    Port("boxes", "FP32", (-1, 4)),
    Port("scores", "FP32", (-1,)),
    Port("labels", "I64", (-1,)),
]
LOW = DetectionParameters(confidence_threshold=0.05)
RED = (255, 0, 0)

Row = tuple[float, float, float, float, float, int]
ROWS: tuple[Row, ...] = (
    (10, 10, 30, 30, 0.9, 0),
    (11, 10, 30, 30, 0.8, 0),
    (11, 10, 30, 30, 0.7, 2),
    (50, 20, 90, 60, 0.4, 1),
    (50, 20, 90, 60, 0.1, 1),
)


def detector(
    preprocess: Preprocess | None = None, labels: tuple[str, ...] = LABELS, **decode: Any
) -> ObjectDetection:
    """Reads boxes in pixels of an input of 96 x 64."""
    spec = ModelSpec(
        task=Task.DETECTION,
        labels=labels,
        preprocess=preprocess or Preprocess(),
        decode={"type": "ssd", "iou_threshold": 0.5, **decode},
    )
    task = task_model(spec, [IMAGE], PORTS)
    assert isinstance(task, ObjectDetection)
    return task


def outputs(rows: Sequence[Row]) -> Outputs:
    values = np.array(rows, np.float64).reshape(-1, 6)
    return {"boxes": values[:, :4], "scores": values[:, 4], "labels": values[:, 5]}


def shown(image: Size = INPUT, region: Box | None = None) -> Prepared:
    region = region or Box(0, 0, image.width, image.height)
    return Prepared({}, Frame(image, INPUT, region))


def found(
    parameters: DetectionParameters = LOW,
    rows: Sequence[Row] = ROWS,
    prepared: Prepared | None = None,
    **decode: Any,
) -> list[tuple[str, float]]:
    result = detector(**decode).read(outputs(rows), prepared or shown(), parameters)
    return [(each.category.label, round(each.category.confidence, 3)) for each in result.detections]


def corners(box: Box) -> list[float]:
    return [box.x_min, box.y_min, box.x_max, box.y_max]


def overlap(first: Box, second: Sequence[float]) -> float:
    """Intersection over union."""
    a, b = np.array(corners(first)), np.array(second)
    both = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0))
    return float(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both))


def test_objects_come_by_falling_confidence_and_suppressed_by_class() -> None:
    assert found() == [("person", 0.9), ("car", 0.7), ("bicycle", 0.4)]


def test_the_model_has_defaults() -> None:
    nothing_said = DetectionParameters()
    assert found(nothing_said) == [("person", 0.9), ("car", 0.7), ("bicycle", 0.4)]
    assert found(nothing_said, confidence_threshold=0.75) == [("person", 0.9)]
    assert found(nothing_said, max_detections=2) == [("person", 0.9), ("car", 0.7)]
    assert len(found(nothing_said, iou_threshold=1.0)) == 4
    assert len(found(nothing_said, iou_threshold=None)) == 4


def test_the_caller_overrides_them() -> None:
    asked = DetectionParameters(0.05, 1.0, 4)
    assert [score for _, score in found(asked)] == [0.9, 0.8, 0.7, 0.4]
    assert len(found(DetectionParameters(0.05, 0.5), iou_threshold=None)) == 3


def test_only_the_labels_asked_for_come() -> None:
    assert found(DetectionParameters(labels=("car", "bicycle"))) == [("car", 0.7), ("bicycle", 0.4)]


def test_an_unknown_label_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"no label 'peson'\. Did you mean 'person'\?") as caught:
        found(DetectionParameters(labels=("car", "peson")))
    assert caught.value.field == "detection.labels"


def test_a_model_without_labels_has_none_to_ask_for() -> None:
    assert found(labels=())[0] == ("", 0.9)
    with pytest.raises(NotFound, match="There are none"):
        found(DetectionParameters(labels=("car",)), labels=())


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("confidence_threshold", lambda value: DetectionParameters(confidence_threshold=value)),
        ("iou_threshold", lambda value: DetectionParameters(iou_threshold=value)),
    ],
)
def test_a_threshold_out_of_range_is_refused_before_the_model_runs(
    name: str, asked: Callable[[float], DetectionParameters], value: float
) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 1") as caught:
        detector().prepare(np.zeros((9, 9, 3), np.uint8), asked(value))
    assert caught.value.field == f"detection.{name}"


@pytest.mark.parametrize("value", [-1, 10_001])
def test_a_number_of_detections_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 10000") as caught:
        found(DetectionParameters(max_detections=value))
    assert caught.value.field == "detection.max_detections"


def test_a_broken_description_is_refused_when_bound() -> None:
    with pytest.raises(InvalidInput) as caught:
        detector(type="ssdd")
    assert caught.value.field == "decode.type"


def test_boxes_are_clipped_to_the_image_and_those_outside_vanish() -> None:
    """The input shows 48 x 32 pixels of the image with half as much on every side."""
    prepared = shown(Size(32, 48), Box(-24, -16, 72, 48))
    rows: list[Row] = [
        (0, 0, 24, 60, 0.9, 0),
        (10, 5, 40, 40, 0.8, 0),
        (30, 20, 50, 30, 0.7, 1),
        (72, 5, 90, 40, 0.6, 2),
    ]
    result = detector().read(outputs(rows), prepared, LOW)
    assert [corners(each.box) for each in result.detections] == [[0, 0, 16, 24], [6, 4, 26, 14]]


def test_a_box_outside_the_image_suppresses_nothing() -> None:
    prepared = shown(Size(64, 48), Box(0, 0, 96, 64))
    rows: list[Row] = [(48, 0, 96, 64, 0.9, 0), (47, 0, 90, 64, 0.8, 0)]
    assert found(rows=rows, prepared=prepared) == [("person", 0.8)]


def test_a_confidence_never_exceeds_one() -> None:
    result = detector().read(outputs([(1, 1, 9, 9, 1.0005, 0)]), shown(), LOW)
    assert result.detections[0].category.confidence == 1.0


def test_proposals_are_all_boxes_with_a_vector_of_classes() -> None:
    prepared = shown(Size(128, 192))
    rows = [*ROWS, (96, 0, 99, 9, 0.5, 0)]
    proposals = detector().proposals(outputs(rows), prepared, LOW)
    assert proposals.boxes.shape == (5, 4)
    assert proposals.boxes[0].tolist() == [20, 20, 60, 60]
    assert proposals.boxes.dtype == np.float32
    np.testing.assert_allclose(proposals.scores[[0, 2, 4]], [[0.9, 0, 0], [0, 0, 0.7], [0, 0.1, 0]])


def test_proposals_without_labels_have_the_classes_that_occur() -> None:
    assert detector(labels=()).proposals(outputs(ROWS), shown(), LOW).scores.shape == (5, 3)
    assert detector(labels=()).proposals(outputs([]), shown(), LOW).scores.shape == (0, 0)


def see_red(feeds: Feeds) -> Outputs:
    """A model that finds the one red rectangle."""
    image: Array = feeds["image"][0].astype(int)
    y, x = np.nonzero((image[..., 0] > 127) & (image[..., 1] < 128))
    box = (x.min(), y.min(), x.max() + 1, y.max() + 1)
    return outputs([(*box, 0.9, 0)])


@given(
    st.sampled_from([each for each in Resize if each is not Resize.NONE]),
    st.tuples(st.integers(100, 400), st.integers(100, 400)),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_an_object_is_found_where_it_is(
    resize: Resize, size: tuple[int, int], shares: tuple[float, float, float, float]
) -> None:
    """For every way of resizing and images of any aspect, to the width of an input pixel."""
    height, width = size
    task = detector(Preprocess(resize=resize))
    image = np.full((height, width, 3), 255, np.uint8)
    frame = task.fit(image).frame
    region = frame.region
    left, top = max(region.x_min, 0), max(region.y_min, 0)
    across, down = min(region.x_max, width) - left, min(region.y_max, height) - top
    box = [
        int(left + shares[0] * 0.5 * across),
        int(top + shares[1] * 0.5 * down),
        int(left + (0.6 + shares[2] * 0.4) * across),
        int(top + (0.6 + shares[3] * 0.4) * down),
    ]
    image[box[1] : box[3], box[0] : box[2]] = RED
    detections = task.predict(image, LOW, see_red).detections
    assert len(detections) == 1
    tolerance = 1.01 * max(*frame.scale, 1)
    assert np.abs(np.subtract(corners(detections[0].box), box)).max() <= tolerance


def test_an_input_of_any_size_is_taken_as_it_is() -> None:
    spec = ModelSpec(
        task=Task.DETECTION,
        preprocess=Preprocess(resize=Resize.NONE, multiple_of=32),
        decode={"type": "ssd"},
    )
    task = task_model(spec, [Port("image", "FP32", (1, 3, -1, -1))], PORTS)
    image = np.full((50, 70, 3), 255, np.uint8)
    image[20:50, 40:70] = RED
    (only,) = task.predict(image, LOW, see_red).detections
    assert corners(only.box) == [40, 20, 70, 50]


Look = Callable[..., list[Detection]]


@pytest.fixture
def look(zoo: Any, sample: Callable[[str], Image]) -> Look:
    """Runs NanoDet on a sample."""

    def run(name: str, confidence: float, change: Callable[[Image], Image] = lambda x: x) -> Any:
        task, infer = zoo("nanodet")
        image = np.ascontiguousarray(change(sample(name)))
        return task.predict(image, DetectionParameters(confidence), infer).detections

    return run


def test_nanodet_sees_the_astronaut(look: Look) -> None:
    """The box was drawn by eye: from hair to hem, from elbow to the edge of the suit."""
    best = look("astronaut.png", 0.4)[0]
    assert best.category.label == "person"
    assert best.category.class_id == 0
    assert best.category.confidence > 0.6
    assert overlap(best.box, (20, 16, 362, 512)) > 0.9


def test_nanodet_sees_the_cup(look: Look) -> None:
    """The box was drawn by eye, with the handle; the table it stands on is surer."""
    found = look("coffee.png", 0.2)
    assert [each.category.label for each in found] == ["dining table", "cup"]
    assert overlap(found[1].box, (171, 18, 412, 306)) > 0.75


def test_nanodet_sees_the_cat(look: Look) -> None:
    best = look("chelsea.png", 0.4)[0]
    assert best.category.label == "cat"
    assert overlap(best.box, (12, 0, 451, 300)) > 0.85


def test_nanodet_sees_the_astronaut_on_a_wide_canvas(look: Look) -> None:
    """512 grey pixels on the left move the box by as much, and nothing else is seen there."""

    def widen(image: Image) -> Image:
        return np.pad(image, ((0, 0), (512, 0), (0, 0)), constant_values=114)

    people = [each for each in look("astronaut.png", 0.4, widen) if each.category.class_id == 0]
    assert len(people) == 1
    assert overlap(people[0].box, (532, 16, 874, 512)) > 0.85


def test_nanodet_proposes_a_box_for_every_cell(zoo: Any, sample: Callable[[str], Image]) -> None:
    task, infer = zoo("nanodet")
    image = sample("coffee.png")
    prepared = task.prepare(image, DetectionParameters())
    proposals = task.proposals(infer(prepared.feeds), prepared, DetectionParameters())
    assert 2000 < len(proposals.boxes) <= 52 * 52 + 26 * 26 + 13 * 13
    assert proposals.scores.shape == (len(proposals.boxes), 80)
    assert proposals.boxes.min() >= 0
    assert (proposals.boxes.max(axis=0) <= [600, 400, 600, 400]).all()
