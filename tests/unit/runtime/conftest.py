import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.telemetry.metrics import Metrics

DATA = Path(__file__).parents[2] / "data"
ZOO = Path(__file__).parents[3] / "models"

_clock = itertools.count(1_000_000_000_000_000_000, 1_000_000_000)


def touch(path: Path) -> None:
    """Gives every file a time of change of its own, however fast the test writes."""
    for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
        now = next(_clock)
        os.utime(each, ns=(now, now))


def tiny_graph(name: str = "tiny", classes: int = 2) -> ov.Model:
    """Convolution, ReLU, mean, product: image 1 x 3 x 8 x 8 to scores."""
    image = ops.parameter([1, 3, 8, 8], np.float32, name="image")
    image.output(0).tensor.set_names({"image"})
    weights = ops.constant(np.full((4, 3, 3, 3), 0.1, np.float32))
    conv = ops.convolution(image, weights, [1, 1], [1, 1], [1, 1], [1, 1], name="conv")
    bias = ops.add(conv, ops.constant(np.ones((1, 4, 1, 1), np.float32)), name="bias")
    features = ops.relu(bias, name="features")
    pooled = ops.reduce_mean(features, np.array([2, 3]), keep_dims=False)
    scores = ops.matmul(pooled, np.ones((4, classes), np.float32), False, False, name="scores")
    scores.output(0).tensor.set_names({"scores"})
    return ov.Model([ops.result(scores)], [image], name)


def write_graph(graph: ov.Model, folder: Path) -> Path:
    """Saves an IR as `model.xml`."""
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    touch(folder)
    return folder


class Folder:
    """A repository's folder, as its owner works on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def good(self, name: str, version: int, tag: str = "tiny") -> Path:
        return write_graph(tiny_graph(tag), self.root / name / str(version))

    def broken(self, name: str, version: int) -> Path:
        folder = self.root / name / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.xml").write_text("<net>not a model")
        touch(folder)
        return folder

    def described(self, name: str, yaml: str) -> Path:
        path = self.root / name / "model.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml)
        touch(path)
        return path


class Observed(ModelRepository):
    """A repository with what it told its listener."""

    def __init__(self, root: Path, metrics: Metrics | None = None) -> None:
        self.unloaded: list[ServedModel] = []
        self.metrics = metrics or Metrics()
        super().__init__(root, self.metrics, poll_interval=0.01, on_unload=self.unloaded.append)

    def settle(self) -> None:
        """As many looks as a change needs."""
        self.scan()
        self.scan()

    def states(self, name: str) -> dict[int, str]:
        return {each.version: str(each.state) for each in self.entry(name).versions}

    def reason(self, name: str, version: int) -> str:
        return next(each.reason for each in self.entry(name).versions if each.version == version)

    def tag(self, name: str, version: str = "") -> str:
        return str(self.get(name, version).graph.get_friendly_name())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Observed]:
    observed = Observed(tmp_path)
    yield observed
    observed.close()


@pytest.fixture
def zoo() -> Path:
    return ZOO


@pytest.fixture
def data() -> Path:
    return DATA


@pytest.fixture
def make_graph() -> Callable[..., ov.Model]:
    return tiny_graph


@pytest.fixture
def write() -> Callable[[ov.Model, Path], Path]:
    return write_graph


@pytest.fixture
def with_info() -> Callable[[ov.Model, Mapping[str, str]], ov.Model]:
    """Describes a graph as OpenVINO Training Extensions do."""

    def add(graph: ov.Model, info: Mapping[str, str]) -> ov.Model:
        for key, value in info.items():
            graph.set_rt_info(value, ["model_info", key])
        return graph

    return add
