"""Tiny models in a repository, and what optimising them needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.optimizer import Optimizer
from pellucid_server.runtime.optimize.plan import Made, Plan, Progress, Quantization
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds

SIZE = 8
DESCRIBED = """
task: classification
labels: [cat, dog]
preprocess: {color: BGR, mean: [10, 20, 30], scale: [255]}
decode: {type: softmax}
target_layer: features
"""


def convolutional(*, outlier: float = 0.0) -> ov.Model:
    """Two convolutions, mean, product: image 1 x 3 x 8 x 8 to two scores.

    With `outlier`, one channel between the convolutions is so large that quantising them all
    alike loses the others.
    """
    random = np.random.default_rng(1)
    image = ops.parameter([1, 3, SIZE, SIZE], np.float32, name="image")
    image.output(0).tensor.set_names({"image"})
    same = ([1, 1], [1, 1], [1, 1], [1, 1])
    first = random.random((4, 3, 3, 3)).astype(np.float32)
    second = random.random((4, 4, 3, 3)).astype(np.float32)
    bias = np.ones((1, 4, 1, 1), np.float32)
    if outlier:
        bias[0, 0] = outlier
        second[:, 0] = 0
    stem = ops.add(ops.convolution(image, ops.constant(first), *same), ops.constant(bias))
    kept = ops.relu(stem, name="stem")
    body = ops.convolution(kept, ops.constant(second), *same, name="body")
    features = ops.relu(body, name="features")
    pooled = ops.reduce_mean(features, np.array([2, 3]), keep_dims=False)
    weights = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    scores = ops.matmul(pooled, ops.constant(weights), False, False, name="scores")
    scores.output(0).tensor.set_names({"scores"})
    return ov.Model([ops.result(scores)], [image], "convolutional")


def nothing_to_quantize() -> ov.Model:
    """Only a sigmoid."""
    image = ops.parameter([1, 3, SIZE, SIZE], np.float32, name="image")
    image.output(0).tensor.set_names({"image"})
    return ov.Model([ops.result(ops.sigmoid(image))], [image], "sigmoid")


class Workplace:
    """A repository with one model, and an optimizer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.optimizer = Optimizer(root, cores=1)
        self.models = ModelRepository(root, Metrics())

    def serve(self, graph: ov.Model, described: str = "") -> ServedModel:
        folder = self.root / "tiny" / "1"
        folder.mkdir(parents=True)
        ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
        if described:
            (self.root / "tiny" / "model.yaml").write_text(described)
        self.models.scan()
        return self.models.get("tiny")

    def run(
        self, served: ServedModel, plan: Plan, call: Call | None = None
    ) -> tuple[int, list[Progress]]:
        """The new version's number, and the progress up to it."""
        events = list(self.optimizer.run(served, plan, call or Call()))
        made = events[-1]
        assert isinstance(made, Made)
        return made.version, [each for each in events if isinstance(each, Progress)]

    @property
    def left(self) -> list[str]:
        """What lies in the model's folder."""
        return sorted(path.name for path in (self.root / "tiny").iterdir())


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def workplaces(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Workplace]:
    """For tests that share what was made."""
    return lambda: Workplace(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def graph() -> Callable[..., ov.Model]:
    return convolutional


@pytest.fixture
def unquantizable() -> ov.Model:
    return nothing_to_quantize()


@pytest.fixture
def described() -> str:
    return DESCRIBED


def pictures(count: int, seed: int = 0) -> Callable[[], Iterator[Feeds]]:
    """Feeds of the described model: uint8 RGB."""

    def feeds() -> Iterator[Feeds]:
        random = np.random.default_rng(seed)
        for _ in range(count):
            yield {"image": random.integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)}

    return feeds


def tensors(count: int) -> Callable[[], Iterator[Feeds]]:
    """Feeds of the model as it is."""

    def feeds() -> Iterator[Feeds]:
        random = np.random.default_rng(0)
        for _ in range(count):
            # Alike in brightness: NNCF takes the mean of the items' ranges, and cuts what exceeds.
            bright = random.uniform(0.9, 1, (1, 3, 1, 1)).astype(np.float32)
            yield {"image": bright * random.random((1, 3, SIZE, SIZE), np.float32)}

    return feeds


@pytest.fixture(name="pictures")
def _pictures() -> Callable[..., Callable[[], Iterator[Feeds]]]:
    return pictures


@pytest.fixture(name="tensors")
def _tensors() -> Callable[..., Callable[[], Iterator[Feeds]]]:
    return tensors


@pytest.fixture
def int8() -> Plan:
    """Twelve tensors."""
    return Plan(Optimization.INT8, Quantization(calibration_size=12), tensors(12))


@dataclass(frozen=True)
class Quantized:
    """A parent, what was made of it, and how."""

    place: Workplace
    parent: ServedModel
    made: ServedModel
    progress: list[Progress]
    plan: Plan


@pytest.fixture(scope="session")
def quantized(workplaces: Callable[[], Workplace]) -> Quantized:
    """Made once, of a model that describes itself; nobody changes it."""
    place = workplaces()
    graph = convolutional()
    for key, value in {"model_type": "Classification", "labels": "cat dog"}.items():
        graph.set_rt_info(value, ["model_info", key])
    parent = place.serve(graph)
    plan = Plan(Optimization.INT8, Quantization(calibration_size=12), pictures(12))
    number, progress = place.run(parent, plan)
    made = place.models.load("tiny", str(number)).versions[0].served
    assert made
    return Quantized(place, parent, made, progress, plan)
