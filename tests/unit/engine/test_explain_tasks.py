"""Each task on a graph whose answer rests on one region of the image alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.explanation import (
    ExplainAccepted,
    ExplainRequest,
    Explanation,
    OverlayOptions,
)
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.explain.designs import DESIGNS
from pellucid_server.explain.masks import MaskTables
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.introspection import ports
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.scheduling import Policy
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks.objectives import Target
from pellucid_server.tasks.objectives.objects import LEAST
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import (
    Box,
    Category,
    EncodedImage,
    InpaintingParameters,
    Size,
    StyleTransferParameters,
)

HEIGHT, WIDTH = 32, 48
REGION = (slice(8, 16), slice(30, 42))
"""Rows and columns of the input that every answer rests on."""
PLACE = Box(60, 16, 84, 32)
"""The same in pixels of the photo, which is twice as large."""

Value = Any
Explain = Callable[..., list[Any]]


def image(shape: tuple[int, ...] = (-1, 3, HEIGHT, WIDTH), name: str = "image") -> Value:
    parameter = ops.parameter(ov.PartialShape(list(shape)), np.float32, name=name)
    parameter.output(0).get_tensor().set_names({name})
    return parameter


def number(value: Any) -> Value:
    return ops.constant(np.asarray(value, np.float32))


def brightness(source: Value, rows: slice = REGION[0], columns: slice = REGION[1]) -> Value:
    """Mean of a region, batch x 1 x 1 x 1."""
    part = ops.slice(
        source,
        ops.constant([rows.start, columns.start]),
        ops.constant([rows.stop, columns.stop]),
        ops.constant([1, 1]),
        ops.constant([2, 3]),
    )
    return ops.reduce_mean(part, ops.constant([1, 2, 3]), keep_dims=True)


def served(parameters: list[Value], outputs: dict[str, Value], **spec: Any) -> ServedModel:
    graph = ov.Model([ops.result(each) for each in outputs.values()], parameters, "built")
    for index, name in enumerate(outputs):
        graph.output(index).get_tensor().set_names({name})
    described = {"preprocess": {"scale": [255]}} | spec
    return ServedModel(
        name="built",
        version=1,
        spec=ModelSpec.model_validate(described),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=ports(graph.inputs),
        outputs=ports(graph.outputs),
        layers=(),
    )


@pytest.fixture(scope="module")
def photo() -> EncodedImage:
    """Grey with a grain, twice the model's size."""
    grain = np.random.default_rng(0).integers(160, 240, (2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    return EncodedImage(cv2.imencode(".png", grain)[1].tobytes())


class Only:
    """A repository of one model."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model

    def get(self, *_: str) -> ServedModel:
        return self._model


@pytest.fixture(scope="module", params=[1, 4], ids=["one", "four"])
def pool(request: pytest.FixtureRequest) -> Iterator[ModelPool]:
    """One mask at a time, and four."""
    specs = device_specs(["CPU"], 2, None)
    pool = ModelPool(PoolSettings(specs, Policy(), mask_batch=request.param), Metrics())
    yield pool
    pool.close()


@pytest.fixture
def explain(pool: ModelPool, photo: EncodedImage) -> Explain:
    def run(model: ServedModel, *targets: Any, **changes: Any) -> list[Any]:
        metrics = Metrics()
        sources = SourceReader((), 10**6, 10**6, metrics)
        explainer = Explainer(Only(model), pool, sources, TaskModels(), metrics)  # type: ignore[arg-type]  # a stand-in
        parameters = {"num_masks": 256, **changes.pop("parameters", {})}
        request = ExplainRequest("built", photo, targets=targets, parameters=parameters, **changes)
        events = list(explainer.explain(request, Call()))
        return [each for each in events if isinstance(each, ExplainAccepted | Explanation)]

    return run


def peak(found: Explanation) -> tuple[float, float]:
    """Where the map is highest, in pixels of the photo: x, y."""
    values, region = found.saliency_map.values, found.saliency_map.region
    row, column = np.unravel_index(values.argmax(), values.shape)
    height, width = values.shape
    return (
        region.x_min + (column + 0.5) * (region.x_max - region.x_min) / width,
        region.y_min + (row + 0.5) * (region.y_max - region.y_min) / height,
    )


def is_within(found: Explanation, box: Box = PLACE) -> bool:
    x, y = peak(found)
    return box.x_min < x < box.x_max and box.y_min < y < box.y_max


one_by_one = pytest.mark.parametrize("pool", [1], indirect=True, ids=["one"])
"""Models that fix their batch."""


def detector(*, free: bool) -> ServedModel:
    """Two objects, the first as likely as the region is bright, the second as the far corner.

    `free`: those below 0.1 are left out, and nothing tells the batch.
    """
    source = image((1, 3, HEIGHT, WIDTH))
    corner = brightness(source, slice(24, 32), slice(0, 8))
    scores = ops.concat([brightness(source), corner], 0)
    scores = ops.reshape(scores, ops.constant([2]), special_zero=False)
    boxes = number([[30, 8, 42, 16], [0, 24, 8, 32]])
    labels = ops.constant(np.array([0, 1], np.int64))
    if free:
        kept = ops.squeeze(ops.non_zero(ops.greater(scores, number(0.1))), ops.constant([0]))
        boxes, scores, labels = (
            ops.gather(each, kept, ops.constant(0)) for each in (boxes, scores, labels)
        )
    else:
        boxes, scores, labels = (
            ops.unsqueeze(each, ops.constant([0])) for each in (boxes, scores, labels)
        )
    return served(
        [source],
        {"boxes": boxes, "scores": scores, "labels": labels},
        task="detection",
        labels=["cup", "spoon"],
        decode={"type": "ssd"},
    )


@one_by_one
@pytest.mark.parametrize("free", [False, True])
def test_an_object_rests_on_its_region(explain: Explain, *, free: bool) -> None:
    """Whether the model always gives as many rows or as many as there are objects."""
    accepted, cup, spoon = explain(detector(free=free), Target(label="cup"), Target(detection=1))
    assert accepted.boxes == (cup.box, spoon.box)
    labels = {each.target.label: each for each in (cup, spoon)}
    assert labels.keys() == {"cup", "spoon"}
    assert cup.box == PLACE
    assert is_within(labels["cup"])
    assert is_within(labels["spoon"], Box(0, 48, 16, 64))


def test_a_detector_of_any_batch_is_read_image_by_image(explain: Explain) -> None:
    """Four masks at once, or one: each has boxes of its own."""
    source = image()
    corner = brightness(source, slice(24, 32), slice(0, 8))
    scores = ops.squeeze(ops.concat([brightness(source), corner], 1), ops.constant([2, 3]))
    one = ops.reshape(ops.reduce_sum(scores, ops.constant([1])), ops.constant([-1, 1, 1]), False)
    nothing = ops.multiply(one, number(0))
    boxes = ops.add(nothing, number([[[30, 8, 42, 16], [0, 24, 8, 32]]]))
    labels = ops.add(ops.multiply(scores, number(0)), number([0, 1]))
    model = served(
        [source],
        {"boxes": boxes, "scores": scores, "labels": labels},
        task="detection",
        labels=["cup", "spoon"],
        decode={"type": "ssd"},
    )
    _, cup, spoon = explain(model, Target(label="cup"), Target(label="spoon"))
    assert is_within(cup)
    assert is_within(spoon, Box(0, 48, 16, 64))


@one_by_one
def test_d_rise_over_a_graph_is_the_formula_by_hand(explain: Explain) -> None:
    """A box of the caller's, over 70 masks drawn again in NumPy, to 1e-6."""
    box = Box(60, 16, 84, 48)  # twice as high as the object: IoU 1 / 2
    parameters = {"num_masks": 70, "design": "plain"}
    _, found = explain(detector(free=False), Target(label="cup", box=box), parameters=parameters)
    tables = MaskTables.of(Size(HEIGHT, WIDTH), 7)
    blocks = DESIGNS["plain"](7, tables.shifts, 0.5, 0).blocks(70)
    masks = np.concatenate([block.render(tables) for block in blocks])
    seen = shrunk()
    confidences = (masks[:, None] * seen)[:, :, REGION[0], REGION[1]].mean((1, 2, 3))
    scores = np.where(confidences >= LEAST, confidences / 2, 0)
    expected = np.tensordot(scores, masks, (0, 0)) / (70 * 0.5)
    assert np.abs(found.saliency_map.values - expected).max() < 1e-6
    assert found.target.confidence == pytest.approx(seen[:, 8:16, 30:42].mean() / 2, abs=1e-6)


def shrunk() -> NDArray[np.float32]:
    """The photo as the model sees it, 3 x height x width."""
    grain = np.random.default_rng(0).integers(160, 240, (2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    small = cv2.resize(grain, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small.transpose(2, 0, 1) / np.float32(255))


@one_by_one
def test_an_instance_rests_on_its_region(explain: Explain) -> None:
    source = image((1, 3, HEIGHT, WIDTH))
    score = ops.reshape(brightness(source), ops.constant([1]), special_zero=False)
    masks = ops.multiply(number(np.ones((1, 28, 28))), ops.sign(ops.add(score, number(1))))
    model = served(
        [source],
        {"boxes": number([[30, 8, 42, 16]]), "scores": score, "masks": masks},
        task="instance_segmentation",
        labels=["cup"],
        decode={"type": "mask_rcnn"},
    )
    _, cup = explain(model)
    assert cup.target.label == "cup"
    assert is_within(cup)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pixels_of_a_class_rest_on_the_region(explain: Explain, layout: str) -> None:
    """Every pixel is foreground where the region is bright."""
    shape = (-1, 3, HEIGHT, WIDTH) if layout == "NCHW" else (-1, HEIGHT, WIDTH, 3)
    source = image(shape)
    seen = source if layout == "NCHW" else ops.transpose(source, ops.constant([0, 3, 1, 2]))
    logit = ops.multiply(ops.subtract(brightness(seen), number(0.4)), number(20))
    everywhere = ops.multiply(logit, number(np.ones((1, 1, 8, 12))))
    model = served(
        [source],
        {"logits": ops.concat([ops.negative(everywhere), everywhere], 1)},
        task="semantic_segmentation",
        labels=["ground", "thing"],
    )
    _, thing = explain(model)
    assert thing.target.label == "thing"
    assert thing.box is None
    assert is_within(thing)


def enlarger(height: int = -1, width: int = -1) -> ServedModel:
    source = image((-1, 3, height, width))
    twice = ops.interpolate(source, number([2, 2]), "nearest", "scales", axes=ops.constant([2, 3]))
    return served(
        [source],
        {"picture": twice},
        task="super_resolution",
        preprocess={"resize": "none", "scale": [255]},
        decode={"scale": 2},
    )


def test_a_patch_of_an_enlarged_image_rests_on_its_place(explain: Explain) -> None:
    """A model of any size sees the whole photo of 96 x 64."""
    accepted, found = explain(enlarger(), Target(box=PLACE))
    assert accepted.map_size == Size(2 * HEIGHT, 2 * WIDTH)
    assert is_within(found)
    assert found.saliency_map.values.max() <= 1


def test_a_large_image_is_explained_within_a_tile(explain: Explain) -> None:
    """Of an input of 40 x 40 the map covers just those pixels of the photo."""
    accepted, found = explain(enlarger(40, 40), Target(box=PLACE))
    assert accepted.map_size == Size(40, 40)
    assert found.saliency_map.region == Box(52, 4, 92, 44)
    assert is_within(found)


def stylist(layout: str) -> ServedModel:
    """The first style is the photo itself, the second one grey."""
    free = (-1, 3, -1, -1) if layout == "NCHW" else (-1, -1, -1, 3)
    source, weights = image(free), image((-1, 2), "weights")
    first, second = (
        ops.reshape(
            ops.gather(weights, ops.constant([index]), ops.constant(1)),
            ops.constant([-1, 1, 1, 1]),
            special_zero=False,
        )
        for index in (0, 1)
    )
    mixed = ops.add(ops.multiply(source, first), ops.multiply(second, number(0.5)))
    return served(
        [source, weights],
        {"picture": mixed},
        task="style_transfer",
        preprocess={"resize": "none", "scale": [255], "layout": layout},
        inputs={"style_weights": "weights"},
    )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_patch_of_a_style_rests_on_its_place(explain: Explain, layout: str) -> None:
    """The style's weights reach the model: of the grey style no mask changes anything."""
    _, found = explain(stylist(layout), Target(box=PLACE))
    assert is_within(found)
    grey = StyleTransferParameters(style_index=1)
    _, flat = explain(stylist(layout), task_parameters=grey, parameters={"design": "plain"})
    assert flat.target == Category(0, "picture", 1.0)
    coverage = flat.saliency_map.values
    assert np.ptp(coverage) < 0.5
    assert flat.convergence is not None


def test_a_style_image_is_preprocessed_once_for_every_mask(explain: Explain) -> None:
    """The picture is the photo times the mean of the style, which is uint8 RGB when it comes."""
    source, style = image((-1, 3, HEIGHT, WIDTH)), image((-1, 3, 16, 16), "style")
    mean = ops.reduce_mean(style, ops.constant([1, 2, 3]), keep_dims=True)
    model = served(
        [source, style],
        {"picture": ops.multiply(source, mean)},
        task="style_transfer",
        preprocess={"scale": [255], "input": "image"},
        inputs={"style_image": "style"},
    )
    white = StyleTransferParameters(style_image=np.full((9, 9, 3), 255, np.uint8))
    accepted, found = explain(model, Target(box=PLACE), task_parameters=white)
    assert accepted.boxes == (PLACE,)
    assert is_within(found)
    with pytest.raises(InvalidInput) as caught:
        explain(model)
    assert caught.value.field == "style_transfer.style_image"


def test_filled_holes_rest_on_what_they_are_filled_from(explain: Explain) -> None:
    """Holes far from the region take its mean; the mask comes with every inference."""
    source, mask = image(), image((-1, 1, HEIGHT, WIDTH), "mask")
    kept = ops.multiply(source, ops.subtract(number(1), mask))
    model = served(
        [source, mask],
        {"picture": ops.add(kept, ops.multiply(mask, brightness(source)))},
        task="inpainting",
        preprocess={"scale": [255], "input": "image"},
        inputs={"mask": "mask"},
    )
    holes = InpaintingParameters(rectangles=(Box(4, 40, 20, 60),))
    _, found = explain(model, task_parameters=holes)
    assert is_within(found)
    with pytest.raises(InvalidInput) as caught:
        explain(model)
    assert caught.value.field == "inpainting.rectangles"


def test_a_number_rests_on_the_region(explain: Explain) -> None:
    source = image()
    values = ops.reshape(brightness(source), ops.constant([-1, 1]), special_zero=False)
    model = served(
        [source],
        {"values": values},
        task="regression",
        labels=["age"],
        decode={"scale": 100, "mean": -20},
    )
    _, found = explain(model)
    assert found.target.label == "age"
    assert found.target.confidence == pytest.approx(58.4, abs=1)
    assert is_within(found)


def test_a_model_of_a_table_has_no_image_to_explain(explain: Explain) -> None:
    table = image((-1, 5), "features")
    model = served([table], {"values": ops.multiply(table, number(2))}, task="regression")
    with pytest.raises(InvalidInput, match="no image input"):
        explain(model)


@one_by_one
def test_the_object_is_outlined_on_the_overlay(explain: Explain) -> None:
    options = OverlayOptions(legend=False)
    _, found = explain(detector(free=False), Target(label="cup"), overlay=options)
    assert found.overlay is not None
    assert (found.overlay[16, 60:84] == 0).all()
    assert (found.overlay[17, 61:83] == 255).all()


@one_by_one
def test_wrong_requests_name_their_field(explain: Explain) -> None:
    """One object named in two ways; the parameters of another task; a class that is not seen."""
    model = detector(free=False)
    with pytest.raises(InvalidInput, match="twice") as caught:
        explain(model, Target(label="cup"), Target(detection=0), Target(detection=1))
    assert caught.value.field == "targets"
    with pytest.raises(InvalidInput, match="does detection") as caught:
        explain(model, task_parameters=InpaintingParameters())
    assert caught.value.field == "inpainting"
    with pytest.raises(NotFound) as missing:
        explain(model, Target(label="fork"))
    assert missing.value.field == "targets[0].label"
