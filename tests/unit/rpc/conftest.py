"""A server on loopback whose engine does what each test says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from pellucid_server.call import Call
from pellucid_server.config import Limits, Settings
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.evaluation.comparer import Compared, CompareRequest
from pellucid_server.engine.evaluation.optimizer import DatasetOptimizeRequest
from pellucid_server.engine.evaluation.renderer import Rendered, RenderRequest
from pellucid_server.engine.explanation import ExplainEvent, ExplainRequest, MethodInfo
from pellucid_server.engine.optimize import OptimizeEvent
from pellucid_server.engine.predict import Prediction, PredictRequest, PredictResponse
from pellucid_server.errors import ModelUnavailable, NotFound
from pellucid_server.rpc.server import RpcServer, build_server
from pellucid_server.runtime.repository import ModelEntry, ModelState, VersionEntry
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import (
    Category,
    ClassificationResult,
    Image,
    Layer,
    Outputs,
    Port,
    Size,
    Source,
    TensorInput,
    Timing,
)

SPEC = ModelSpec.model_validate(
    {
        "task": "classification",
        "labels": ["cat", "dog"],
        "aliases": ["pet"],
        "description": "Tells pets apart.",
    }
)
SERVED = ServedModel(
    name="pets",
    version=3,
    spec=SPEC,
    format="onnx",
    path=Path("model.onnx"),
    graph=cast("Any", None),
    inputs=(Port("x", "FP32", (-1, 2)),),
    outputs=(Port("y", "FP32", (-1, 2)), Port("z", "BF16", (-1, 2))),
    layers=(Layer("conv", "Convolution", (1, 8, 4, 4), default=True),),
)
ENTRY = ModelEntry(
    "pets",
    SPEC,
    (
        VersionEntry(4, ModelState.FAILED, reason="broken"),
        VersionEntry(3, ModelState.READY, served=SERVED),
    ),
    default_version=3,
)


class Models:
    """One model, `pets`, by its name or its alias `pet`."""

    def entries(self) -> tuple[ModelEntry, ...]:
        return (ENTRY,)

    def entry(self, name: str) -> ModelEntry:
        if name not in {"pets", "pet"}:
            raise NotFound(f"no model is called {name!r}. Known: pets.", field="model_name")
        return ENTRY

    def get(self, name: str, version: str = "") -> ServedModel:
        self.entry(name)
        if version == "4":
            raise ModelUnavailable("pets version 4 cannot be served: broken", field="model_version")
        return SERVED

    def load(self, name: str, version: str = "") -> ModelEntry:
        self.get(name, version)
        return ENTRY

    def unload(self, name: str, version: str = "") -> ModelEntry:
        del version
        return replace(self.entry(name), versions=(), default_version=None)


@dataclass
class FakeEngine:
    """What calls do is replaced by each test; what they were asked for is kept."""

    on_predict: Callable[[PredictRequest, Call], PredictResponse] | None = None
    on_explain: Callable[[ExplainRequest, Call], Iterator[ExplainEvent]] | None = None
    on_infer: Callable[[TensorInput, Call], Outputs] | None = None
    on_compare: Callable[[CompareRequest, Call], Compared] | None = None
    on_render: Callable[[RenderRequest, Call], Rendered] | None = None
    on_optimize: Callable[[DatasetOptimizeRequest, Call], Iterator[OptimizeEvent]] | None = None
    on_check: Callable[[Call], None] = lambda _: None
    evaluations: SimpleNamespace = field(default_factory=SimpleNamespace)
    """Each test gives it the methods that are called."""
    uploads: SimpleNamespace = field(default_factory=SimpleNamespace)
    methods: tuple[MethodInfo, ...] = ()
    requests: list[Any] = field(default_factory=list)

    def engine(self) -> Engine:
        return Engine(
            models=cast("Any", Models()),
            sources=cast("Any", SimpleNamespace(image=self._image)),
            predictor=cast("Any", self._predictor()),
            explainer=cast(
                "Any", SimpleNamespace(explain=self._explain, methods=lambda _: self.methods)
            ),
            pool=cast(
                "Any",
                SimpleNamespace(
                    devices=[SimpleNamespace(spec=SimpleNamespace(name="CPU"))],
                    precision=lambda _: "f32",
                ),
            ),
            evaluations=cast("Any", self.evaluations),
            comparer=cast("Any", SimpleNamespace(compare=self._compare)),
            renderer=cast("Any", SimpleNamespace(render=self._render)),
            optimizer=cast("Any", SimpleNamespace(optimize=self._optimize)),
            uploads=cast("Any", self.uploads),
        )

    def _image(self, source: Source, field: str) -> Image:
        self.requests.append((source, field))
        return np.zeros((2, 2, 3), np.uint8)

    def _predictor(self) -> SimpleNamespace:
        # Tests set `on_check` later.
        promises = SimpleNamespace(check=lambda call: self.on_check(call))  # noqa: PLW0108
        return SimpleNamespace(predict=self._predict, infer=self._infer, promises=promises)

    def _predict(
        self, request: PredictRequest, call: Call, *, patient: bool = False
    ) -> PredictResponse:
        del patient
        self.requests.append(request)
        Models().get(request.model_name, request.model_version)
        return (self.on_predict or cats)(request, call)

    def _infer(
        self, name: str, version: str, tensors: TensorInput, call: Call
    ) -> tuple[ServedModel, Outputs]:
        self.requests.append(tensors)
        served = Models().get(name, version)
        assert self.on_infer
        return served, self.on_infer(tensors, call)

    def _explain(self, request: ExplainRequest, call: Call) -> Iterator[ExplainEvent]:
        self.requests.append(request)
        assert self.on_explain
        yield from self.on_explain(request, call)

    def _compare(self, request: CompareRequest, call: Call) -> Compared:
        self.requests.append(request)
        assert self.on_compare
        return self.on_compare(request, call)

    def _render(self, request: RenderRequest, call: Call) -> Rendered:
        self.requests.append(request)
        assert self.on_render
        return self.on_render(request, call)

    def _optimize(self, request: DatasetOptimizeRequest, call: Call) -> Iterator[OptimizeEvent]:
        self.requests.append(request)
        assert self.on_optimize
        yield from self.on_optimize(request, call)


def cats(request: PredictRequest, call: Call) -> PredictResponse:
    """Sees a cat in everything."""
    del call
    result = ClassificationResult((Category(0, "cat", 0.75),))
    one = Prediction(Size(20, 10), result, {}, Timing(queue=0.25, compute=0.5))
    return PredictResponse("pets", "3", (one,) * len(request.inputs))


@pytest.fixture
def entry() -> ModelEntry:
    """A model with a version that is served and a broken one."""
    return ENTRY


@dataclass
class Running:
    """A server that runs, and a channel to it."""

    fake: FakeEngine
    metrics: Metrics
    server: RpcServer
    channel: grpc.Channel
    logs: list[EventDict]

    def stub(self, kind: Any) -> Any:
        """A stub of a service; untyped, for requests that a typed one would refuse."""
        return kind(self.channel)

    def raw(self, method: str) -> Any:
        """A method called with bytes."""
        channel: Any = self.channel
        return channel.unary_unary(method)

    def count(self, method: str, status: str, model: str = "") -> float:
        """How many calls were counted."""
        labels = {"method": method, "model": model, "status": status}
        return self.metrics.registry.get_sample_value("pellucid_requests_total", labels) or 0.0


SETTINGS = Settings(
    port=0, metrics_port=None, limits=Limits(concurrent_calls=4, message_bytes=10_000)
)


@pytest.fixture
def running() -> Iterator[Running]:
    fake, metrics = FakeEngine(), Metrics()
    structlog.reset_defaults()
    with capture_logs() as logs:
        server = build_server(fake.engine(), SETTINGS, metrics)
        server.start()
        server.health.start()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Running(fake, metrics, server, channel, logs)
        server.stop(0)
