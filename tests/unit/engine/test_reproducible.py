"""The same request gives the same bytes, on whatever devices its masks run."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.call import Call
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.explanation import ExplainRequest, Explanation
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.scheduling import Policy
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import EncodedImage

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def models() -> ModelRepository:
    models = ModelRepository(ROOT / "models", Metrics())
    models.scan()
    return models


def explain(
    models: ModelRepository, devices: int, streams: int, batch: int, *, masks: int = 70
) -> NDArray[np.float32]:
    """The maps of two classes, on EfficientNet-Lite0."""
    metrics = Metrics()
    specs = device_specs(["CPU"] * devices, streams, 2 * devices)
    pool = ModelPool(PoolSettings(specs, Policy(), mask_batch=batch), metrics)
    sources = SourceReader((), 10**7, 10**7, metrics)
    explainer = Explainer(models, pool, sources, TaskModels(), metrics)
    photo = EncodedImage((ROOT / "samples" / "coffee.png").read_bytes())
    request = ExplainRequest(
        "efficientnet-lite0", photo, top_k=2, parameters={"num_masks": masks, "seed": 3}
    )
    try:
        events = [e for e in explainer.explain(request, Call()) if isinstance(e, Explanation)]
    finally:
        pool.close()
    return np.stack([event.saliency_map.values for event in events])


@pytest.fixture(scope="module")
def reference(models: ModelRepository) -> NDArray[np.float32]:
    return explain(models, devices=1, streams=1, batch=1)


@pytest.mark.parametrize(("devices", "streams"), [(1, 2), (2, 1), (3, 1), (3, 2)], ids=str)
def test_maps_do_not_depend_on_devices(
    models: ModelRepository, reference: NDArray[np.float32], devices: int, streams: int
) -> None:
    """On one, two and three CPU instances with one or two streams: the same bytes."""
    assert explain(models, devices, streams, 1).tobytes() == reference.tobytes()


@pytest.mark.parametrize("batch", [4, 8])
def test_maps_hardly_depend_on_the_batch(
    models: ModelRepository, reference: NDArray[np.float32], batch: int
) -> None:
    """In batches that do not divide 70 OpenVINO rounds otherwise: the same maps to 1e-6."""
    assert np.abs(explain(models, 1, 2, batch) - reference).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "precision", "streams", "batch"),
    [
        ("efficientnet-lite0", "f32", 2, 2),
        ("efficientnet-lite0", "bf16", 2, 4),
        ("efficientnet-lite0", "bf16", 1, 1),
        ("efficientnet-lite0", "f16", 2, 1),
        ("nanodet", "bf16", 2, 1),
    ],
)
def test_masks_come_in_batches_where_no_predict_waits_and_the_model_takes_them(
    models: ModelRepository, name: str, precision: str, streams: int, batch: int
) -> None:
    """Streams of one thread, and of two; NanoDet's reshapes fix its batch."""
    specs = device_specs(["CPU"], streams, 2)
    settings = PoolSettings(specs, Policy(), precision=precision, mask_batch=None)
    pool = ModelPool(settings, Metrics())
    assert pool.mask_batch(models.get(name, "")) == batch
    pool.close()
