"""The zoo has no such model: published layouts are built here, as graphs and as arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import instance_segmentation, task_model
from pellucid_server.tasks.base import Prepared
from pellucid_server.tasks.instance_segmentation import InstanceSegmentation
from pellucid_server.types import (
    Array,
    Box,
    DetectionParameters,
    Feeds,
    InstanceSegmentationParameters,
    Outputs,
    Port,
    Size,
    Task,
)

INPUT = Size(64, 96)
IMAGE = Port("image", "FP32", (1, 3, *INPUT))
LABELS = ("person", "bicycle", "car")


def segmenter(
    made: Mapping[str, Array], resize: Resize = Resize.STRETCH, **decode: Any
) -> InstanceSegmentation:
    spec = ModelSpec(
        task=Task.INSTANCE_SEGMENTATION,
        labels=LABELS,
        preprocess=Preprocess(resize=resize),
        decode=decode,
    )
    ports = [Port(name, "FP32", each.shape) for name, each in made.items()]
    task = task_model(spec, [IMAGE], ports)
    assert isinstance(task, InstanceSegmentation)
    return task


def mask_rcnn(*boxes: Any, mask: Array | None = None) -> dict[str, Array]:
    """Torchvision's layout, confidences falling from 0.9 by 0.1, every mask the same."""
    count = len(boxes)
    values = np.ones((28, 28), np.float32) if mask is None else mask
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "scores": 0.9 - np.arange(count, dtype=np.float32) / 10,
        "labels": np.arange(count),
        "masks": np.broadcast_to(values, (count, 1, *values.shape)).astype(np.float32),
    }


def shown(image: Size, region: Box | None = None) -> Prepared:
    return Prepared({}, Frame(image, INPUT, region or Box(0, 0, image.width, image.height)))


def rectangle(size: Size, rows: slice, columns: slice) -> Array:
    mask = np.zeros(size, bool)
    mask[rows, columns] = True
    return mask


def wedge(cells: int = 28) -> Array:
    """A mask that is set above its diagonal."""
    y, x = np.mgrid[:cells, :cells]
    above: Array = x > y
    return above.astype(np.float32)


def test_a_mask_is_laid_into_its_box_at_the_size_of_the_image() -> None:
    made = mask_rcnn([10, 20, 40, 50])
    size = Size(128, 192)
    result = segmenter(made, type="mask_rcnn").read(
        made, shown(size), InstanceSegmentationParameters()
    )
    (only,) = result.instances
    assert only.box == Box(20, 40, 80, 100)
    assert (only.category.label, round(only.category.confidence, 3)) == ("person", 0.9)
    assert only.mask.dtype == bool
    np.testing.assert_array_equal(only.mask, rectangle(size, slice(40, 100), slice(20, 80)))


def test_of_a_box_beyond_the_image_the_mask_is_cut_and_not_squeezed() -> None:
    """The input shows as much again on the left of the image; half of the wedge is there."""
    made = mask_rcnn([18, 8, 78, 58], mask=wedge())
    task = segmenter(made, type="mask_rcnn")
    parameters = InstanceSegmentationParameters()
    size = Size(64, 48)
    (cut,) = task.read(made, shown(size, Box(-48, 0, 48, 64)), parameters).instances
    (whole,) = task.read(made, shown(INPUT), parameters).instances
    assert cut.box == Box(0, 8, 30, 58)
    np.testing.assert_array_equal(cut.mask, whole.mask[:, 48:])


def test_a_mask_grows_as_its_threshold_falls() -> None:
    gradient = np.linspace(0, 1, 28, dtype=np.float32) * np.ones((28, 1), np.float32)
    made = mask_rcnn([0, 0, 56, 56], mask=gradient)
    task = segmenter(made, type="mask_rcnn")
    areas = []
    for threshold in (0.25, 0.5, 0.75):
        parameters = InstanceSegmentationParameters(mask_threshold=threshold)
        areas.append(task.read(made, shown(INPUT), parameters).instances[0].mask.mean(axis=0).sum())
    first = [np.flatnonzero(gradient[0] >= each)[0] * 2 for each in (0.25, 0.5, 0.75)]
    assert np.abs(np.subtract(areas, [(56 - each) * 56 / 64 for each in first])).max() <= 2


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, float("nan")])
def test_a_mask_threshold_out_of_range_is_refused_before_the_model_runs(value: float) -> None:
    task = segmenter(mask_rcnn([10, 20, 40, 50]), type="mask_rcnn")
    with pytest.raises(InvalidInput, match="between 0 and 1") as caught:
        task.prepare(
            np.zeros((9, 9, 3), np.uint8), InstanceSegmentationParameters(mask_threshold=value)
        )
    assert caught.value.field == "instance_segmentation.mask_threshold"


def test_the_detection_parameters_have_their_own_path() -> None:
    task = segmenter(mask_rcnn([10, 20, 40, 50]), type="mask_rcnn")
    parameters = InstanceSegmentationParameters(DetectionParameters(iou_threshold=2.0))
    with pytest.raises(InvalidInput) as caught:
        task.prepare(np.zeros((9, 9, 3), np.uint8), parameters)
    assert caught.value.field == "instance_segmentation.detection.iou_threshold"


def test_masks_stay_with_their_objects() -> None:
    """Through a filter by label, and boxes that vanish or are suppressed."""
    boxes = [[200, 0, 300, 50], [0, 0, 20, 20], [30, 30, 60, 60]]
    made = mask_rcnn(*boxes)
    task = segmenter(made, type="mask_rcnn")
    parameters = InstanceSegmentationParameters(DetectionParameters(labels=("car", "person")))
    (only,) = task.read(made, shown(INPUT), parameters).instances
    assert only.category.label == "car"
    np.testing.assert_array_equal(only.mask, rectangle(INPUT, slice(30, 60), slice(30, 60)))


def test_a_mask_that_is_not_a_number_is_empty() -> None:
    made = mask_rcnn([10, 20, 40, 50], mask=np.full((28, 28), np.nan))
    task = segmenter(made, type="mask_rcnn")
    (only,) = task.read(made, shown(INPUT), InstanceSegmentationParameters()).instances
    assert not only.mask.any()


def test_a_decoder_without_masks_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one of mask_rcnn, yolo_seg") as caught:
        segmenter(mask_rcnn([10, 20, 40, 50]), type="ssd")
    assert caught.value.field == "decode.type"


def test_masks_that_memory_does_not_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mask_rcnn([0, 0, 96, 64], [0, 0, 96, 64])
    task = segmenter(made, type="mask_rcnn")
    monkeypatch.setattr(instance_segmentation, "MOST_PIXELS", 2 * 64 * 96 - 1)
    with pytest.raises(InvalidInput, match="lower max_detections") as caught:
        task.read(made, shown(INPUT), InstanceSegmentationParameters())
    assert caught.value.field == "instance_segmentation.detection.max_detections"
    one = InstanceSegmentationParameters(DetectionParameters(max_detections=1))
    assert len(task.read(made, shown(INPUT), one).instances) == 1


def graph(made: Mapping[str, Array]) -> ov.CompiledModel:
    """A model of an image of which the outputs do not depend: each is named and constant."""
    image = ops.parameter([1, *INPUT, 3], np.uint8, name="image")
    image.output(0).set_names({"image"})
    nothing = ops.multiply(
        ops.convert(ops.reduce_max(image, ops.constant([0, 1, 2, 3])), "f32"), np.float32(0)
    )
    results = []
    for name, value in made.items():
        output = ops.add(ops.constant(value.astype(np.float32)), nothing)
        output.output(0).set_names({name})
        results.append(output)
    return ov.Core().compile_model(ov.Model(results, [image]), "CPU")


def run(model: ov.CompiledModel, feeds: Feeds) -> Outputs:
    results = model(dict(feeds))
    return {each.any_name: results[each] for each in model.outputs}


def yolo_seg() -> dict[str, Array]:
    """v8-seg with an object at 24..72 x 16..48: prototype 3 is set left of the middle."""
    rows = np.zeros((4 + 3 + 32, 126), np.float32)
    rows[:4] = 2
    rows[:4, 60] = [48, 32, 48, 32]
    rows[4:7, 60] = [0.1, 0.8, 0.2]
    rows[7 + 3, 60] = 1
    prototypes = np.zeros((1, 32, 16, 24), np.float32)
    prototypes[0, 3] = np.where(np.arange(24) < 12, 20, -20)
    return {"output0": rows[None], "output1": prototypes}


def test_a_graph_of_mask_rcnn_on_a_letterboxed_image() -> None:
    """An image of 40 x 80 is 32 x 64 in the middle of the input of 96 x 64: 1.25 to 1."""
    made = mask_rcnn([40, 16, 56, 48])
    model = graph(made)
    task = segmenter(made, Resize.LETTERBOX, type="mask_rcnn")
    result = task.predict(
        np.zeros((80, 40, 3), np.uint8),
        InstanceSegmentationParameters(),
        lambda feeds: run(model, feeds),
    )
    (only,) = result.instances
    assert only.box == Box(10, 20, 30, 60)
    np.testing.assert_array_equal(only.mask, rectangle(Size(80, 40), slice(20, 60), slice(10, 30)))


@pytest.mark.parametrize(
    ("resize", "size", "box", "half"),
    [
        (Resize.STRETCH, Size(128, 96), Box(24, 32, 72, 96), 48),
        (Resize.LETTERBOX, Size(64, 192), Box(48, 0, 144, 64), 96),
        (Resize.LETTERBOX_TOP_LEFT, Size(32, 96), Box(24, 16, 72, 32), 48),
    ],
)
def test_a_graph_of_yolo_seg(resize: Resize, size: Size, box: Box, half: int) -> None:
    """The mask is the left half of the box, wherever the image lies in the input."""
    made = yolo_seg()
    model = graph(made)
    task = segmenter(made, resize, type="yolo_seg")
    image = np.zeros((*size, 3), np.uint8)
    result = task.predict(image, InstanceSegmentationParameters(), lambda feeds: run(model, feeds))
    (only,) = result.instances
    assert only.box == box
    assert only.category.label == "bicycle"
    rows, columns = slice(int(box.y_min), int(box.y_max)), slice(int(box.x_min), half)
    np.testing.assert_array_equal(only.mask, rectangle(size, rows, columns))
