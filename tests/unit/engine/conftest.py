"""A small classifier whose scores tell which quarter of the image is bright."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.predict import Predictor
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import NotFound
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.repository import ModelEntry, ModelState, VersionEntry
from pellucid_server.runtime.scheduling import Policy
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import EncodedImage, Port

SIZE = (16, 24)
QUARTERS = ("top left", "top right", "bottom left", "bottom right")


def quarters() -> ServedModel:
    """Logits are ten times the mean brightness of each quarter, of a batch of images."""
    image = ops.parameter([-1, 3, *SIZE], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    pooled = ops.avg_pool(image, [8, 12], [0, 0], [0, 0], [8, 12], exclude_pad=True)
    grey = ops.reduce_mean(pooled, ops.constant([1]), keep_dims=False)
    flat = ops.reshape(grey, ops.constant([-1, 4]), special_zero=False)
    logits = ops.multiply(flat, ops.constant(np.float32(10)))
    graph = ov.Model([ops.result(logits)], [image], "quarters")
    graph.output(0).get_tensor().set_names({"logits"})
    spec = {"task": "classification", "labels": QUARTERS, "preprocess": {"scale": [255]}}
    return ServedModel(
        name="quarters",
        version=1,
        spec=ModelSpec.model_validate(spec),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=(Port("image", "FP32", (-1, 3, *SIZE)),),
        outputs=(Port("logits", "FP32", (-1, 4)),),
        layers=(),
    )


def raw() -> ServedModel:
    """The same model without a description."""
    model = quarters()
    return ServedModel(**{**vars(model), "name": "raw", "spec": ModelSpec()})


class Models:
    """A repository of fixed models."""

    def __init__(self, *models: ServedModel) -> None:
        self._models = {model.name: model for model in models}

    def get(self, name: str, version: str = "") -> ServedModel:
        del version
        if name not in self._models:
            raise NotFound(f"no model {name!r}", field="model_name")
        return self._models[name]

    def entry(self, name: str) -> ModelEntry:
        model = self.get(name)
        version = VersionEntry(1, ModelState.READY, served=model)
        return ModelEntry(name, model.spec, (version,), default_version=1)

    def entries(self) -> tuple[ModelEntry, ...]:
        return tuple(self.entry(name) for name in self._models)


@pytest.fixture(scope="session")
def photo() -> EncodedImage:
    """Dark, with a bright bottom right quarter; twice the model's size."""
    image = np.full((32, 48, 3), 30, np.uint8)
    image[16:, 24:] = 250
    return EncodedImage(cv2.imencode(".png", image)[1].tobytes())


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def models() -> Models:
    return Models(quarters(), raw())


@pytest.fixture
def pool(metrics: Metrics) -> Iterator[ModelPool]:
    pool = ModelPool(PoolSettings(device_specs(["CPU"], 2, None), Policy()), metrics)
    yield pool
    pool.close()


@pytest.fixture
def sources(metrics: Metrics) -> SourceReader:
    return SourceReader((), 1_000_000, 1_000_000, metrics)


@pytest.fixture
def predictor(models: Models, pool: ModelPool, sources: SourceReader) -> Iterator[Predictor]:
    predictor = Predictor(models, pool, sources, TaskModels(), max_inputs=4)  # type: ignore[arg-type]  # a stand-in
    yield predictor
    predictor.close()


@pytest.fixture
def explainer(
    models: Models, pool: ModelPool, sources: SourceReader, metrics: Metrics
) -> Explainer:
    return Explainer(models, pool, sources, TaskModels(), metrics)  # type: ignore[arg-type]  # a stand-in
