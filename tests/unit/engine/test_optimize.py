"""The use case: from images to a new version that is served beside its parent."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import openvino as ov
import pytest

from pellucid_server.call import Call
from pellucid_server.engine.optimize import (
    CalibrationSample,
    ModelOptimizer,
    OptimizeProgress,
    OptimizeRequest,
    OptimizeResult,
    first_feeds,
)
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.imaging.decode import decode_image
from pellucid_server.runtime.graph import image_graph
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.optimizer import Optimizer
from pellucid_server.runtime.optimize.plan import Made, Plan, Progress, Quantization, Stage
from pellucid_server.runtime.repository import ModelEntry, ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks import task_model
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import (
    Array,
    Box,
    InpaintingParameters,
    Port,
    SuperResolutionParameters,
)

if TYPE_CHECKING:
    from tests.unit.engine.conftest import Models

ROOT = Path(__file__).parents[3]
NAME = "efficientnet-lite0"


class Recorder:
    """An optimizer that keeps its plan and makes version 1 of it."""

    def __init__(self, *events: Progress) -> None:
        self._events = events
        self.plans: list[Plan] = []

    def run(self, served: ServedModel, plan: Plan, call: Call) -> Iterator[Progress | Made]:
        del served, call
        self.plans.append(plan)
        yield from self._events
        yield Made(1)


def use(models: "Models", recorder: Recorder) -> ModelOptimizer:
    setattr(models, "load", lambda name, _: models.entry(name))  # noqa: B010 - a stand-in grows
    return ModelOptimizer(cast("Any", models), TaskModels(), cast("Any", recorder))


def samples(*images: Array) -> Any:
    return lambda: (CalibrationSample(image) for image in images)


def test_images_become_what_the_task_feeds_the_model(models: "Models") -> None:
    """As large as the model's input, uint8, at every call from the first on."""
    recorder = Recorder()
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    request = OptimizeRequest("quarters", Optimization.INT8, samples=samples(image, image))
    list(use(models, recorder).optimize(request, Call()))
    (plan,) = recorder.plans
    for _ in range(2):
        first, second = plan.calibration()
        assert first.keys() == {"image"}
        assert first["image"].dtype == np.uint8
        assert first["image"].shape == (1, 16, 24, 3)
        assert np.array_equal(first["image"], second["image"])


def test_progress_has_times_and_the_result_comes_last(models: "Models") -> None:
    events = (
        Progress(Stage.CALIBRATE, 1, 4),
        Progress(Stage.CALIBRATE, 2, 4),
        Progress(Stage.RESTORE_ACCURACY, 5, 0),
    )
    request = OptimizeRequest("quarters", Optimization.FP16)
    *told, result = use(models, Recorder(*events)).optimize(request, Call())
    first, second, restoring = told
    assert isinstance(first, OptimizeProgress)
    assert isinstance(second, OptimizeProgress)
    assert isinstance(restoring, OptimizeProgress)
    assert (first.stage, first.done, first.total) == ("calibrate", 1, 4)
    assert first.remaining == pytest.approx(3 * first.elapsed)
    assert second.remaining == pytest.approx(second.elapsed)
    assert restoring.remaining is None
    assert isinstance(result, OptimizeResult)
    assert (result.model.name, result.version.version) == ("quarters", 1)


def test_a_model_of_tensors_is_not_calibrated_with_images(models: "Models") -> None:
    request = OptimizeRequest("raw", Optimization.INT8)
    with pytest.raises(InvalidInput) as error:
        list(use(models, Recorder()).optimize(request, Call()))
    assert error.value.field == "model_name"


def test_a_model_that_is_not_there(models: "Models") -> None:
    with pytest.raises(NotFound):
        list(use(models, Recorder()).optimize(OptimizeRequest("x", Optimization.FP16), Call()))


def test_of_a_tiled_image_the_first_tile_is_seen() -> None:
    spec = ModelSpec.model_validate({"task": "super_resolution", "decode": {"scale": 2}})
    ports = [Port("lr", "FP32", (1, 3, -1, -1))], [Port("sr", "FP32", (1, 3, -1, -1))]
    image = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    sample = CalibrationSample(image, SuperResolutionParameters(tile_size=64))
    feeds = first_feeds(cast("Any", task_model(spec, *ports)), sample)
    assert np.array_equal(feeds["lr"], image[None, :64, :64])


def test_parameters_that_a_task_needs_come_with_the_sample() -> None:
    spec = ModelSpec.model_validate({"task": "inpainting", "inputs": {"mask": "mask"}})
    ports = (
        [Port("image", "FP32", (1, 3, 8, 8)), Port("mask", "FP32", (1, 1, 8, 8))],
        [Port("filled", "FP32", (1, 3, 8, 8))],
    )
    task = cast("Any", task_model(spec, *ports))
    image = np.full((8, 8, 3), 9, np.uint8)
    hole = InpaintingParameters(rectangles=(Box(0, 0, 4, 8),))
    feeds = first_feeds(task, CalibrationSample(image, hole))
    assert feeds["mask"].sum() == 32
    with pytest.raises(InvalidInput, match="no hole"):
        first_feeds(task, CalibrationSample(image))


def crops() -> Iterator[CalibrationSample]:
    """The four photos, each from near and from far, half of them mirrored."""
    for path in sorted((ROOT / "samples").iterdir()):
        image = decode_image(path.read_bytes(), max_pixels=10**7, field="")
        for step in range(5):
            side = int(min(image.shape[:2]) * (0.6 + 0.1 * step))
            top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
            crop = image[top : top + side, left : left + side]
            yield CalibrationSample(np.ascontiguousarray(crop[:, :: -1 if step % 2 else 1]))


def test_efficientnet_keeps_its_answers_in_half_the_size(tmp_path: Path) -> None:
    """INT8 by the real NNCF with twenty photos: first classes are among the parent's first two."""
    shutil.copytree(ROOT / "models" / NAME, tmp_path / NAME)
    tasks = TaskModels()
    models = ModelRepository(tmp_path, Metrics(), check=tasks.check)
    models.scan()
    optimizer = ModelOptimizer(models, tasks, Optimizer(tmp_path))
    how = Quantization(calibration_size=20)
    request = OptimizeRequest(NAME, Optimization.INT8, quantization=how, samples=crops)
    *_, result = optimizer.optimize(request, Call())
    assert isinstance(result, OptimizeResult)
    check_versions(result.model)
    parent, made = (models.get(NAME, version) for version in ("1", "2"))
    assert {node.get_type_name() for node in made.graph.get_ops()} >= {"FakeQuantize"}
    assert made.spec == parent.spec
    images = [sample for index, sample in enumerate(crops()) if index % 5 == 4]
    before, after = (
        np.stack([scores(served, tasks, each) for each in images]) for served in (parent, made)
    )
    assert all(
        top in first.argsort()[-2:] for top, first in zip(after.argmax(1), before, strict=True)
    )
    correlations = [np.corrcoef(*pair)[0, 1] for pair in zip(before, after, strict=True)]
    assert min(correlations) > 0.85


def check_versions(model: ModelEntry) -> None:
    made, parent = model.versions
    assert (made.version, parent.version) == (2, 1)
    assert made.served
    assert parent.served
    assert made.size_bytes < 0.6 * parent.size_bytes
    assert made.lineage
    assert made.lineage.settings["calibration_size"] == "20"


def scores(served: ServedModel, tasks: TaskModels, sample: CalibrationSample) -> Array:
    """Logits of one image."""
    compiled = ov.Core().compile_model(
        image_graph(served), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    feeds = first_feeds(tasks.get(served), sample)
    return np.array(compiled(dict(feeds))[0][0])
