"""Rows of real evaluations of small data sets, drawn."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.courtesy import Courtesy
from pellucid_server.engine.evaluation.judge import Judge
from pellucid_server.engine.evaluation.panels import PAINTERS
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.renderer import Renderer, RenderRequest
from pellucid_server.engine.evaluation.request import EvaluationRequest, PreprocessOverride
from pellucid_server.engine.evaluation.samples import ImageLimits
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.evaluate.evaluators import EVALUATORS
from pellucid_server.evaluate.open import Places
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import NewEvaluation, Store, open_store
from pellucid_server.explain import METHODS
from pellucid_server.imaging.draw import EXTRA, FOUND, GAP, MISSED, Color, color_of
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Image, Port, Task

SIZE = (48, 64)
LABELS = ("cat", "dog", "bird")
LIMITS = ImageLimits(1_000_000, 1_000_000)
Graph = Callable[[Any], dict[str, Any]]


def served(
    task: str,
    graph: Graph,
    decode: Mapping[str, Any] | None = None,
    labels: Sequence[str] = LABELS,
    size: Sequence[int] = SIZE,
    inputs: Mapping[str, str] | None = None,
) -> ServedModel:
    """A model of an image of 0 to 1 and, where `inputs` says so, of a mask."""
    image = ops.parameter([1, 3, *size], np.float32, name="image")
    mask = ops.parameter([1, 1, *size], np.float32, name="holes")
    parameters = {"image": image} | ({"holes": mask} if inputs else {})
    for name, each in parameters.items():
        each.output(0).get_tensor().set_names({name})
    nodes = graph(image)
    results = []
    for name, node in nodes.items():
        node.output(0).get_tensor().set_names({name})
        results.append(ops.result(node))
    spec = {
        "task": task,
        "labels": labels,
        "decode": decode or {},
        "inputs": inputs or {},
        "preprocess": {"scale": [255], "input": "image"},
    }
    model = ov.Model(results, list(parameters.values()), task)
    return ServedModel(
        name=task,
        version=1,
        spec=ModelSpec.model_validate(spec),
        format="openvino",
        path=Path("model.xml"),
        graph=model,
        inputs=tuple(_port(name, each.output(0)) for name, each in parameters.items()),
        outputs=tuple(_port(name, node.output(0)) for name, node in nodes.items()),
        layers=(),
    )


def _port(name: str, output: Any) -> Port:
    shape = output.get_partial_shape()
    extents = tuple(each.get_length() if each.is_static else -1 for each in shape)
    return Port(name, "FP32", extents)


def _constant(values: Any) -> Any:
    return ops.constant(np.array(values, np.float32))


def brightest(image: Any) -> dict[str, Any]:
    """Ten times the mean of each channel."""
    means = ops.reduce_mean(image, ops.constant([2, 3]), keep_dims=False)
    return {"logits": ops.multiply(means, _constant(10))}


def boxes(rows: Sequence[tuple[float, ...]], masks: Any = None) -> Graph:
    """The same boxes whatever the image: corners, confidence, class."""

    def graph(image: Any) -> dict[str, Any]:
        nothing = ops.multiply(ops.reduce_mean(image, ops.constant([0, 1, 2, 3])), _constant(0))
        table = np.array(rows, np.float32)
        parts = {"boxes": table[:, :4], "scores": table[:, 4], "labels": table[:, 5]}
        if masks is not None:
            parts["masks"] = np.array(masks, np.float32)
        return {name: ops.add(_constant(values), nothing) for name, values in parts.items()}

    return graph


def doubled(image: Any) -> dict[str, Any]:
    """Twice the size, nearest neighbours."""
    height, width = image.output(0).shape[2:]
    tiled = ops.reshape(image, ops.constant([1, 3, height, 1, width, 1]), special_zero=False)
    wide = ops.broadcast(tiled, ops.constant([1, 3, height, 2, width, 2]))
    shape = ops.constant([1, 3, 2 * height, 2 * width])
    return {"picture": ops.reshape(wide, shape, special_zero=False)}


def negative(image: Any) -> dict[str, Any]:
    return {"picture": ops.subtract(_constant(1), image)}


class Models:
    """A repository of one model, which can go."""

    def __init__(self) -> None:
        self.served: ServedModel | None = None

    def get(self, name: str, version: str = "") -> ServedModel:
        del version
        if self.served is None or self.served.name != name:
            raise NotFound(f"no model {name!r}", field="model_name")
        return self.served


@dataclass
class Gallery:
    """Evaluates data sets, and draws what was found."""

    folder: Path
    store: Store
    models: Models
    renderer: Renderer

    def write(self, path: str, content: Image | str) -> None:
        """A picture, RGB or of values, or a text."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.write_text(content)
        else:
            picture = content[..., ::-1] if content.ndim == 3 else content
            cv2.imwrite(str(file), picture)

    def evaluate(self, model: ServedModel, **request: Any) -> str:
        """Judges all rows, and keeps them; the name of the evaluation."""
        self.models.served = model
        wanted = EvaluationRequest(model.name, "set", **request)
        plan = self.renderer.planner.plan(wanted, lambda: None)
        new = NewEvaluation(plan.request.to_json(), model.name, "1", plan.task.task)
        name = self.store.create(new).name
        claimed = self.store.claim("test", 60)
        assert claimed is not None
        pool = self.renderer.explainer.pool
        judge = Judge(pool, plan, plan.evaluator(), LIMITS, Call(), courtesy=Courtesy())
        rows = [row for item in enumerate(plan.rows()) for row in judge.rows([item])]
        self.store.append(name, claimed.token, rows)
        return name

    def draw(self, name: str, index: int = 0, **request: Any) -> tuple[Image, Row]:
        """The picture, RGB, and its row."""
        drawn = self.renderer.render(RenderRequest(name, index, **request), Call())
        picture = cv2.imdecode(np.frombuffer(drawn.picture, np.uint8), cv2.IMREAD_COLOR_RGB)
        return np.asarray(picture, np.uint8), drawn.row


@pytest.fixture
def gallery(tmp_path: Path, pool: ModelPool, metrics: Metrics) -> Iterator[Gallery]:
    folder = tmp_path / "set"
    folder.mkdir()
    models, tasks = Models(), TaskModels()
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    planner = Planner(cast("Any", models), tasks, Places((tmp_path,)))
    sources = SourceReader((), LIMITS.pixels, LIMITS.bytes, metrics)
    explainer = Explainer(cast("Any", models), pool, sources, tasks, metrics)
    yield Gallery(folder, store, models, Renderer(store, planner, explainer, LIMITS))
    store.close()


def plain(color: Color, size: Sequence[int] = SIZE) -> Image:
    return np.full((*size, 3), color, np.uint8)


def has(picture: Image, color: Color, pixels: int = 8, distance: int = 30) -> bool:
    """Whether at least so many pixels are of a colour, but for what JPEG does to it."""
    return int((np.abs(picture.astype(int) - color).max(2) <= distance).sum()) >= pixels


def columns(picture: Image, count: int) -> list[Image]:
    """The panels of a picture, of equal width."""
    width = (picture.shape[1] - GAP * (count - 1)) // count
    return [picture[:, each * (width + GAP) :][:, :width] for each in range(count)]


RED, GREEN, BLUE = (250, 20, 20), (20, 250, 20), (20, 20, 250)
DETECTED = (
    (4, 4, 24, 24, 0.9, 0),  # where a cat is
    (40, 8, 60, 28, 0.8, 1),  # where nothing is
    (4, 30, 24, 44, 0.3, 2),  # where a bird is, below the threshold
)


def coco(*objects: tuple[int, Sequence[float]], crowd: int = 0) -> str:
    """One image with objects: class, and x, y, width, height."""
    annotations = [
        {
            "id": index,
            "image_id": 1,
            "category_id": class_id,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(index < crowd),
            "segmentation": [_corners(*box)],
        }
        for index, (class_id, box) in enumerate(objects)
    ]
    height, width = SIZE
    image = {"id": 1, "file_name": "a.png", "width": width, "height": height}
    categories = [{"id": index, "name": name} for index, name in enumerate(LABELS)]
    return json.dumps({"images": [image], "annotations": annotations, "categories": categories})


def _corners(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def evaluate_objects(gallery: Gallery, masks: Any = None, rows: Any = DETECTED) -> str:
    """A cat that is found, a bird that is missed, and a dog that is extra."""
    gallery.write("images/a.png", plain((90, 90, 90)))
    gallery.write("instances.json", coco((0, (4, 4, 20, 20)), (2, (4, 30, 20, 14))))
    task, decode = ("detection", "ssd") if masks is None else ("instance_segmentation", "mask_rcnn")
    model = served(task, boxes(rows, masks), {"type": decode})
    return gallery.evaluate(model, dataset_format="coco")


def evaluate_classes(gallery: Gallery, **request: Any) -> str:
    gallery.write("cat/a.png", plain(RED))
    gallery.write("dog/b.png", plain(RED))
    return gallery.evaluate(served("classification", brightest), **request)


def test_every_task_that_is_judged_is_drawn() -> None:
    assert PAINTERS.keys() == EVALUATORS.keys()


def test_a_right_and_a_wrong_class(gallery: Gallery) -> None:
    name = evaluate_classes(gallery)
    for index, color, other in ((0, FOUND, MISSED), (1, MISSED, FOUND)):
        picture, row = gallery.draw(name, index, max_side=320, annotation=True)
        predicted, annotated = columns(picture, 2)
        assert row == gallery.store.row(name, index)
        assert has(predicted, color_of(1))  # of the five best
        assert has(predicted, color_of(2))
        assert has(annotated, color, 100)
        assert not has(annotated, other)


def test_rows_that_keep_no_best_classes_are_drawn_too(gallery: Gallery) -> None:
    """As of an evaluation by an older server."""
    name = evaluate_classes(gallery)
    row = replace(gallery.store.row(name, 0), detail={})
    claimed = gallery.store.claim("test", 60)
    assert claimed is None  # still held by this test
    held = gallery.store.get(name)
    gallery.store.append(name, held.token, [replace(row, index=7)])
    picture, _ = gallery.draw(name, 7, max_side=320)
    assert has(picture, color_of(0), 20)
    assert not has(picture, color_of(1))


@pytest.mark.parametrize("shape", [(48, 64), (200, 30), (8, 300), (3, 3), (700, 900)])
def test_no_panel_is_longer_than_asked_for(gallery: Gallery, shape: tuple[int, int]) -> None:
    """And it is at least half as long, but for pictures that fill no more in whole steps."""
    gallery.write("cat/a.png", plain(RED, shape))
    name = gallery.evaluate(served("classification", brightest), dataset_format="imagenet")
    for side in (16, 63, 64, 100, 320, 640):
        picture, _ = gallery.draw(name, max_side=side, annotation=True, explanation=True)
        longer = max(picture.shape[0], columns(picture, 3)[0].shape[1])
        assert longer <= side
        assert longer > side / 2 or max(shape) < side


def test_as_it_is_a_picture_keeps_its_pixels(gallery: Gallery) -> None:
    """Below its words; to what JPEG of this quality does to smooth colours."""
    y, x = np.mgrid[0:300, 0:400]
    image = np.stack([x // 2, y // 2, 255 - x // 2], 2).astype(np.uint8)
    gallery.write("cat/a.png", image)
    name = gallery.evaluate(served("classification", brightest), dataset_format="imagenet")
    picture, _ = gallery.draw(name)
    assert picture.shape[1] == 400
    below = slice(150, 300)
    assert np.abs(picture[-150:].astype(int) - image[below]).max() <= 8


def test_several_classes_of_an_image(gallery: Gallery) -> None:
    """One found, one missed, one extra."""
    gallery.write("a.png", plain((250, 250, 20)))
    gallery.write("list.csv", "path,labels\na.png,cat|bird\n")
    model = served("classification", brightest, {"type": "sigmoid"})
    picture, row = gallery.draw(
        gallery.evaluate(model, threshold=0.9), max_side=320, annotation=True
    )
    assert (row.missed, row.extra) == (1, 1)
    predicted, annotated = columns(picture, 2)
    assert has(predicted, color_of(0))
    assert has(predicted, color_of(1))
    assert not has(predicted, color_of(2))
    for color in (FOUND, MISSED, EXTRA):
        assert has(annotated, color, 100)


def test_objects_found_missed_and_extra(gallery: Gallery) -> None:
    """Only those from the threshold on; below it an object is missed."""
    name = evaluate_objects(gallery)
    picture, row = gallery.draw(name, max_side=320, annotation=True)
    assert (row.missed, row.extra) == (1, 1)
    predicted, annotated = columns(picture, 2)
    assert has(predicted, color_of(0), 100)
    assert has(predicted, color_of(1), 100)
    assert not has(predicted, color_of(2))
    for color in (FOUND, MISSED, EXTRA):
        assert has(annotated, color, 100)


def test_boxes_stand_where_they_are(gallery: Gallery) -> None:
    """A box of an image of 48 x 64 drawn five times as large, to 2 pixels."""
    image = plain((90, 90, 90))
    gallery.write("images/a.png", image)
    gallery.write("instances.json", coco())
    model = served("detection", boxes([(16, 20, 48, 40, 0.9, 0)]), {"type": "ssd"})
    name = gallery.evaluate(model, dataset_format="coco")
    picture, _ = gallery.draw(name, max_side=320)
    top = picture.shape[0] - 48 * 5
    rows, across = np.nonzero(np.abs(picture.astype(int) - color_of(0)).max(2) < 30)
    assert picture.shape[1] == 64 * 5
    assert abs(across.min() - 16 * 5) <= 2
    assert abs(across.max() - 48 * 5) <= 2
    assert abs(rows.max() - (top + 40 * 5)) <= 2


def test_the_threshold_of_the_request_counts(gallery: Gallery) -> None:
    evaluate_objects(gallery)
    model = gallery.models.served
    assert model is not None
    name = gallery.evaluate(model, dataset_format="coco", threshold=0.25)
    picture, row = gallery.draw(name, max_side=320, annotation=True)
    assert (row.missed, row.extra) == (0, 1)
    predicted, annotated = columns(picture, 2)
    assert has(predicted, color_of(2))
    assert not has(annotated, MISSED)


def test_masks_are_filled(gallery: Gallery) -> None:
    """With the class's colour at less than full strength, over nothing but the mask."""
    masks = np.zeros((3, 28, 28))
    masks[:, :14] = 1
    name = evaluate_objects(gallery, masks)
    picture, row = gallery.draw(name, max_side=320, annotation=True)
    assert (row.missed, row.extra) == (1, 1)
    predicted, _ = columns(picture, 2)
    mixed = tuple(round(0.55 * 90 + 0.45 * each) for each in color_of(0))
    top, factor = picture.shape[0] - 48 * 5, 5
    assert np.abs(predicted[top + 9 * factor, 14 * factor] - np.array(mixed)).max() <= 12
    assert np.abs(predicted[top + 20 * factor, 14 * factor] - 90.0).max() <= 12


def test_a_changed_image_is_not_drawn_with_masks_of_the_old_one(gallery: Gallery) -> None:
    name = evaluate_objects(gallery, np.ones((3, 28, 28)))
    gallery.write("images/a.png", plain(RED, (30, 30)))
    with pytest.raises(NotFound, match="another size") as caught:
        gallery.draw(name, annotation=True)
    assert caught.value.field == "index"


def test_a_crowd_counts_as_nothing(gallery: Gallery) -> None:
    gallery.write("images/a.png", plain((90, 90, 90)))
    gallery.write("instances.json", coco((0, (4, 4, 20, 20)), crowd=1))
    model = served("detection", boxes([(4, 4, 24, 24, 0.9, 0)]), {"type": "ssd"})
    picture, row = gallery.draw(
        gallery.evaluate(model, dataset_format="coco"), max_side=320, annotation=True
    )
    assert (row.missed, row.extra) == (0, 0)
    _, annotated = columns(picture, 2)
    assert not any(has(annotated, color) for color in (FOUND, MISSED, EXTRA))


def test_areas_are_coloured_by_the_model_s_classes(gallery: Gallery) -> None:
    """Also where the data set numbers and colours them otherwise; what is ignored is grey."""
    image = plain((250, 20, 20))
    image[:, 32:] = (20, 250, 20)
    gallery.write("images/a.png", image)
    values = np.full(SIZE, 1, np.uint8)  # a dog, in the data set's numbers
    values[:, 32:], values[:10] = 0, 255
    gallery.write("masks/a.png", values)
    gallery.write("classes.txt", "bird\ndog\n")
    model = served(
        "semantic_segmentation", lambda image: {"logits": ops.multiply(image, _constant(9))}
    )
    picture, row = gallery.draw(gallery.evaluate(model), max_side=320, annotation=True)
    assert (row.missed, row.extra) == (2, 1)
    predicted, annotated = columns(picture, 2)
    top = picture.shape[0] - 48 * 5

    def at(panel: Image, y: int, x: int) -> Any:
        return panel[top + 5 * y, 5 * x].astype(int)

    dog, bird = np.array((128, 0, 0)), np.array((0, 128, 0))
    assert np.abs(at(predicted, 40, 10) - (250, 20, 20)).max() <= 10  # a cat: class 0 stays
    assert np.abs(at(predicted, 40, 50) - (np.array((20, 250, 20)) * 0.55 + dog * 0.45)).max() <= 12
    assert np.abs(at(annotated, 40, 10) - (np.array((250, 20, 20)) * 0.55 + dog * 0.45)).max() <= 12
    assert (
        np.abs(at(annotated, 40, 50) - (np.array((20, 250, 20)) * 0.55 + bird * 0.45)).max() <= 12
    )
    assert np.abs(at(annotated, 5, 60) - (np.array((20, 250, 20)) * 0.55 + 160 * 0.45)).max() <= 12


def test_a_made_picture_beside_the_one_wanted(gallery: Gallery) -> None:
    gallery.write("lr/a.png", plain(BLUE))
    gallery.write("hr/a.png", plain(RED, (96, 128)))
    name = gallery.evaluate(served("super_resolution", doubled, {"scale": 2}, labels=()))
    made, wanted = columns(gallery.draw(name, max_side=320, annotation=True)[0], 2)
    assert has(made, BLUE, 10_000)
    assert not has(made, RED)
    assert has(wanted, RED, 10_000)


def test_holes_are_drawn_beside_what_fills_them(gallery: Gallery) -> None:
    image, holes = plain((90, 90, 90)), np.zeros(SIZE, np.uint8)
    holes[20:40, 10:30] = 255
    gallery.write("images/a.png", image)
    gallery.write("masks/a.png", holes)
    model = served("inpainting", negative, labels=(), inputs={"mask": "holes"})
    panels = columns(gallery.draw(gallery.evaluate(model), max_side=320, annotation=True)[0], 3)
    assert [has(panel, (255, 255, 255), 2000) for panel in panels] == [True, False, False]
    red, green, blue = (round(0.55 * 90 + 0.45 * each) for each in MISSED)
    assert [has(panel, (red, green, blue), 2000, 12) for panel in panels] == [False, False, True]


def mean(image: Any) -> dict[str, Any]:
    return {"values": ops.reduce_mean(image, ops.constant([1, 2, 3]), keep_dims=False)}


def test_numbers_of_an_image(gallery: Gallery) -> None:
    gallery.write("a.png", plain(RED))
    gallery.write("list.csv", "path,value\na.png,2\n")
    name = gallery.evaluate(served("regression", mean, labels=("age",)))
    one, both = (gallery.draw(name, max_side=320, annotation=each)[0] for each in (False, True))
    assert both.shape[1] == 2 * one.shape[1] + GAP
    assert has(one, RED, 10_000)


def evaluate_table(gallery: Gallery) -> str:
    """The price is the sum of two numbers."""
    gallery.write("houses.csv", "rooms,size,price\n3,70,200\n")
    features = ops.parameter([1, 2], np.float32, name="features")
    features.output(0).get_tensor().set_names({"features"})
    total = ops.reduce_sum(features, ops.constant([1]), keep_dims=True)
    total.output(0).get_tensor().set_names({"price"})
    model = replace(
        served("regression", mean, labels=("price",)),
        graph=ov.Model([ops.result(total)], [features], "table"),
        inputs=(Port("features", "FP32", (1, 2)),),
        outputs=(Port("price", "FP32", (1, 1)),),
    )
    return gallery.evaluate(model)


def test_numbers_of_a_table_have_no_image(gallery: Gallery) -> None:
    picture, row = gallery.draw(evaluate_table(gallery), annotation=True)
    assert row.detail == {"values": [73.0], "targets": [200.0]}
    assert has(picture, (255, 255, 255), 50, 60)


@pytest.mark.parametrize("task", ["classification", "super_resolution"])
def test_rows_without_annotation_say_so(gallery: Gallery, task: str) -> None:
    gallery.write("a.png", plain(RED))
    models = {
        "classification": served("classification", brightest),
        "super_resolution": served("super_resolution", doubled, {"scale": 2}, labels=()),
    }
    name = gallery.evaluate(models[task], dataset_format="images")
    picture, row = gallery.draw(name, max_side=320, annotation=True)
    predicted, empty = columns(picture, 2)
    assert row.annotated is None
    assert has(empty, RED, 10_000)
    assert not has(empty, FOUND)
    assert not np.array_equal(predicted, empty)


def test_the_model_is_explained(gallery: Gallery) -> None:
    """A red half is what makes a model see red: the map is bright there, and dark elsewhere."""
    image = plain((20, 20, 20))
    image[:, :32] = RED
    gallery.write("cat/a.png", image)
    name = gallery.evaluate(served("classification", brightest), dataset_format="imagenet")
    picture, row = gallery.draw(name, max_side=320, explanation=True)
    assert row.predicted is not None
    assert row.predicted.label == "cat"
    _, importance = columns(picture, 2)
    brightness = importance[60:].astype(float).mean((0, 2))
    assert brightness[:100].mean() > 1.5 * brightness[-100:].mean()


def test_another_preprocessing_is_explained_and_run_again_as_it_was_judged(
    gallery: Gallery,
) -> None:
    """Channels change places: a red image is taken for a bird, and explained as one."""
    override = PreprocessOverride(color="BGR")
    name = evaluate_classes(gallery, preprocess=override)
    picture, row = gallery.draw(name, max_side=320, explanation=True)
    assert row.predicted is not None
    assert row.predicted.label == "bird"
    assert len(columns(picture, 2)) == 2
    gallery.write("input/a.png", plain(RED))
    gallery.write("target/a.png", plain(RED))
    negated = gallery.evaluate(
        served("style_transfer", negative, {"color": "RGB"}, labels=()),
        preprocess=override,
        dataset_format="image_pairs",
    )
    assert has(gallery.draw(negated, max_side=320)[0], (235, 235, 5), 10_000)


def test_tasks_without_importance_maps_say_so(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.write("a.png", plain(RED))
    name = gallery.evaluate(served("regression", mean, labels=()), dataset_format="images")
    rise = replace(METHODS["rise"], tasks=(Task.CLASSIFICATION,))
    monkeypatch.setitem(METHODS, "rise", rise)
    with pytest.raises(InvalidInput, match=r"regression models.*classification") as caught:
        gallery.draw(name, explanation=True)
    assert caught.value.field == "explanation"


def test_a_table_has_no_importance_map(gallery: Gallery) -> None:
    name = evaluate_table(gallery)
    with pytest.raises(InvalidInput, match="rows of a table") as caught:
        gallery.draw(name, explanation=True)
    assert caught.value.field == "explanation"


def test_a_bad_annotation_is_drawn_with_its_reason(gallery: Gallery) -> None:
    """On its image, or on a dark plane where that is what is wrong."""
    gallery.write("cat/a.png", plain(RED))
    gallery.write("unicorn/b.png", plain(RED))
    gallery.write("cat/c.png", plain(RED))
    (gallery.folder / "cat/c.png").write_bytes(b"no image")
    name = gallery.evaluate(served("classification", brightest), dataset_format="imagenet")
    for index, has_image in ((1, False), (2, True)):
        picture, row = gallery.draw(name, index, max_side=320, annotation=True, explanation=True)
        assert row.reason
        assert has(picture, MISSED, 1000)
        assert has(picture, RED, 5000) is has_image
        assert has(picture, (255, 255, 255), 50, 60)


def test_labels_of_any_letters_are_drawn(gallery: Gallery) -> None:
    labels = ("猫" * 500, "\x00\u202edog\n", "é" * 10_000)
    gallery.write("0/a.png", plain(RED))
    name = gallery.evaluate(
        served("classification", brightest, labels=labels), dataset_format="imagenet"
    )
    picture, _ = gallery.draw(name, max_side=100, annotation=True, explanation=True)
    assert max(len(picture), columns(picture, 3)[0].shape[1]) <= 100


@pytest.mark.parametrize("side", [-1, 1, 15, 4097])
def test_sides_out_of_range_are_refused(gallery: Gallery, side: int) -> None:
    with pytest.raises(InvalidInput, match="16 to 4096") as caught:
        gallery.draw("evaluations/x", max_side=side)
    assert caught.value.field == "max_side"


def test_unknown_evaluations_and_rows(gallery: Gallery) -> None:
    with pytest.raises(NotFound) as caught:
        gallery.draw("evaluations/x")
    assert caught.value.field == "evaluation"
    name = evaluate_classes(gallery)
    with pytest.raises(NotFound) as caught:
        gallery.draw(name, 2)
    assert caught.value.field == "index"


def test_what_has_gone_since_is_not_found(gallery: Gallery) -> None:
    """The image, then the model, then the data set."""
    name = evaluate_classes(gallery)
    image = gallery.folder / "cat/a.png"
    image.write_bytes(b"")
    for ready, field in (
        (lambda: None, "index"),
        (image.unlink, "index"),
        (lambda: setattr(gallery.models, "served", None), "evaluation"),
        (lambda: gallery.folder.rename(gallery.folder.with_name("other")), "evaluation"),
    ):
        ready()
        with pytest.raises(NotFound, match="cannot be drawn any more") as caught:
            gallery.draw(name)
        assert caught.value.field == field


def test_a_data_set_that_was_changed_since_is_not_run_again(gallery: Gallery) -> None:
    """Another image stands where the row's stood; then its annotation is gone."""
    for name in ("b", "c"):
        gallery.write(f"lr/{name}.png", plain(RED))
        gallery.write(f"hr/{name}.png", plain(RED, (96, 128)))
    evaluation = gallery.evaluate(served("super_resolution", doubled, {"scale": 2}, labels=()))
    assert has(gallery.draw(evaluation, 1)[0], RED)
    for folder in ("lr", "hr"):
        gallery.write(f"{folder}/a.png", plain(RED))
    with pytest.raises(NotFound, match="changed since") as caught:
        gallery.draw(evaluation, 1)
    assert caught.value.field == "index"


def test_multi_label_confidences_are_read_as_the_evaluator_wrote_them(gallery: Gallery) -> None:
    gallery.write("a.png", plain(RED))
    gallery.write("list.csv", "path,labels\na.png,cat\n")
    model = served("classification", brightest, {"type": "sigmoid"})
    name = gallery.evaluate(model, threshold=1.0)
    row = gallery.store.row(name, 0)
    detail: Any = row.detail
    assert len(base64.b64decode(detail["confidences"])) == 4 * len(LABELS)
    picture, _ = gallery.draw(name, max_side=320, annotation=True)
    assert not has(columns(picture, 2)[0], color_of(0))  # none reaches the threshold
    assert has(columns(picture, 2)[1], MISSED, 100)


def write_everything(gallery: Gallery) -> None:
    """Data sets for every task, side by side."""
    gallery.write("images/a.png", plain(RED))
    gallery.write("instances.json", coco((0, (4, 4, 20, 20))))
    holes = np.zeros(SIZE, np.uint8)
    holes[20:40, 10:30] = 255
    gallery.write("masks/a.png", holes)
    gallery.write("lr/a.png", plain(RED))
    gallery.write("hr/a.png", plain(RED, (96, 128)))


EVERYTHING: Mapping[str, tuple[str, Callable[[], ServedModel]]] = {
    "classification": ("images", lambda: served("classification", brightest)),
    "detection": ("coco", lambda: served("detection", boxes(DETECTED), {"type": "ssd"})),
    "instance_segmentation": (
        "coco",
        lambda: served(
            "instance_segmentation", boxes(DETECTED, np.ones((3, 28, 28))), {"type": "mask_rcnn"}
        ),
    ),
    "semantic_segmentation": (
        "images",
        lambda: served("semantic_segmentation", lambda image: {"logits": ops.relu(image)}),
    ),
    "super_resolution": (
        "image_pairs",
        lambda: served("super_resolution", doubled, {"scale": 2}, labels=()),
    ),
    "style_transfer": ("images", lambda: served("style_transfer", negative, labels=())),
    "inpainting": (
        "inpainting",
        lambda: served("inpainting", negative, labels=(), inputs={"mask": "holes"}),
    ),
    "regression": ("images", lambda: served("regression", mean, labels=())),
}


@pytest.mark.parametrize("task", EVALUATORS)
def test_every_task_is_explained(gallery: Gallery, task: Task) -> None:
    """With what the model is asked for beside the image, such as the holes to fill."""
    write_everything(gallery)
    dataset_format, model = EVERYTHING[task]
    name = gallery.evaluate(model(), dataset_format=dataset_format)
    assert not gallery.store.row(name, 0).reason
    alone, _ = gallery.draw(name, max_side=200)
    picture, _ = gallery.draw(name, max_side=200, explanation=True)
    assert picture.shape[1] >= alone.shape[1] + GAP + 100
    left = picture[: len(alone), : alone.shape[1]]
    assert np.abs(left.astype(int) - alone).mean() < 1


def test_nothing_found_has_no_importance_map(gallery: Gallery) -> None:
    write_everything(gallery)
    model = served("detection", boxes([(4, 4, 24, 24, 0.1, 0)]), {"type": "ssd"})
    name = gallery.evaluate(model, dataset_format="coco")
    alone, row = gallery.draw(name, max_side=200)
    assert row.predicted is None
    assert gallery.draw(name, max_side=200, explanation=True)[0].shape == alone.shape


def test_a_model_that_does_something_else_now(gallery: Gallery) -> None:
    name = evaluate_classes(gallery)
    gallery.models.served = replace(served("regression", mean, labels=()), name="classification")
    with pytest.raises(NotFound, match="does regression now") as caught:
        gallery.draw(name)
    assert caught.value.field == "evaluation"
