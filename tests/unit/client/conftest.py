"""A server that answers from a script, and clients connected to it."""

import asyncio
import inspect
import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from pellucid import Client, aio
from pellucid.v1 import (
    common_pb2,
    explanation_pb2,
    explanation_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
)

Predict = Callable[[Any, Any], inference_pb2.PredictResponse]


def png(width: int = 8, height: int = 6, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def category(class_id: int = 1, label: str = "cat", confidence: float = 0.75) -> Any:
    return common_pb2.Category(class_id=class_id, label=label, confidence=confidence)


def classified(request: Any, _context: Any = None) -> inference_pb2.PredictResponse:
    """One class for each input."""
    one = inference_pb2.Prediction(
        input_size=common_pb2.ImageSize(width=8, height=6),
        classification=inference_pb2.ClassificationResult(categories=[category()]),
    )
    return inference_pb2.PredictResponse(
        model_name=request.model_name,
        model_version="1",
        predictions=[one for _ in request.inputs],
    )


def streamed(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
    """One answer for each request, as they come."""
    for each in requests:
        yield inference_pb2.PredictStreamResponse(id=each.id, response=classified(each.request))


def explained(request: Any, _context: Any) -> Iterator[explanation_pb2.ExplainResponse]:
    """Two targets, ten masks, a map of 2 x 3 over the middle of an 8 x 6 image."""
    targets = [category(), category(2, "dog", 0.25)]
    region = common_pb2.Box(x_min=1, y_min=0, x_max=7, y_max=6)
    accepted = explanation_pb2.ExplainAccepted(
        model_name=request.model_name,
        model_version="1",
        method=request.method,
        parameters=request.parameters,
        targets=targets,
        total=10,
        map_size=common_pb2.ImageSize(width=3, height=2),
        input_size=common_pb2.ImageSize(width=8, height=6),
    )
    values = np.arange(6, dtype="<f4")
    saliency = explanation_pb2.SaliencyMap(
        size=accepted.map_size, values=values.tobytes(), minimum=0, maximum=5, region=region
    )
    yield explanation_pb2.ExplainResponse(accepted=accepted)
    for done in (5, 10):
        progress = explanation_pb2.ExplainProgress(
            done=done, total=10, units_per_second=20, partial_maps=[saliency, saliency]
        )
        progress.elapsed.FromMilliseconds(done * 100)
        yield explanation_pb2.ExplainResponse(progress=progress)
    results = explanation_pb2.Explanations(
        model_name=request.model_name,
        model_version="1",
        method=request.method,
        parameters=request.parameters,
        evaluations=11,
        precision="f32",
    )
    for target in targets:
        result = results.explanations.add(target=target, saliency_map=saliency)
        if request.overlay.enabled:
            result.overlay.CopyFrom(
                common_pb2.Picture(data=png(), media_type="image/png", size=accepted.input_size)
            )
    yield explanation_pb2.ExplainResponse(results=results)


def model(name: str = "lights", task: str = "CLASSIFICATION") -> model_pb2.Model:
    version = model_pb2.ModelVersion(
        version="1",
        state=model_pb2.MODEL_STATE_READY,
        format="openvino",
        inputs=[model_pb2.TensorSpec(name="x", datatype="FP32", shape=[1, 3, -1, -1])],
        outputs=[model_pb2.TensorSpec(name="y", datatype="FP32", shape=[1, 3])],
        layers=[model_pb2.Layer(name="features", operation="Relu", shape=[1, 8], default=True)],
        device="CPU",
        precision="f32",
    )
    version.load_time.FromSeconds(1_700_000_000)
    broken = model_pb2.ModelVersion(
        version="2", state=model_pb2.MODEL_STATE_FAILED, reason="the file is cut short"
    )
    return model_pb2.Model(
        name=name,
        aliases=["lamp"],
        task=common_pb2.Task.Value(f"TASK_{task}"),
        description="Tells lamps.",
        default_version="1",
        versions=[broken, version],
        labels=["off", "cat", "dog"],
    )


@dataclass
class Fake(
    inference_pb2_grpc.InferenceServiceServicer,
    explanation_pb2_grpc.ExplanationServiceServicer,
    model_pb2_grpc.ModelServiceServicer,
    health_pb2_grpc.HealthServicer,  # type: ignore[misc]  # shipped without types
):
    """Answers from a script, and remembers what it was asked."""

    predict: Predict = classified
    explain: Callable[[Any, Any], Iterator[Any]] = explained
    stream: Callable[[Any, Any], Iterator[Any]] = streamed
    load: Callable[[Any], None] = lambda _context: None
    tasks: dict[str, str] = field(default_factory=lambda: {"lights": "CLASSIFICATION"})
    serving: int = health_pb2.HealthCheckResponse.SERVING
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)

    def _note(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        return request

    def asked(self, kind: type[Any]) -> list[Any]:
        """The requests of one kind."""
        return [each for each in self.requests if isinstance(each, kind)]

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        return self.predict(self._note(request, context), context)

    def PredictStream(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield from self.stream(request_iterator, context)

    def Explain(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield from self.explain(self._note(request, context), context)

    def ListMethods(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(request, context)
        number = common_pb2.ParameterValue(int_value=5000)
        parameter = explanation_pb2.MethodParameter(
            name="num_masks", description="Masks.", type="int", default_value=number, minimum=1
        )
        method = explanation_pb2.Method(
            name="rise",
            description="Random masks.",
            reference="arXiv 1806.07421",
            parameters=[parameter],
            tasks=[common_pb2.TASK_CLASSIFICATION],
            model_names=["lights"],
        )
        return explanation_pb2.ListMethodsResponse(methods=[method])

    def ListModels(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(request, context)
        models = [model(name, task) for name, task in self.tasks.items()]
        return model_pb2.ListModelsResponse(models=models)

    def GetModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(request, context)
        return model_pb2.GetModelResponse(model=self._model(request, context))

    def LoadModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(request, context)
        self.load(context)
        return model_pb2.LoadModelResponse(model=self._model(request, context))

    def UnloadModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(request, context)
        return model_pb2.UnloadModelResponse(model=self._model(request, context))

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(request, context)
        return health_pb2.HealthCheckResponse(status=self.serving)

    def _model(self, request: Any, context: Any) -> model_pb2.Model:
        if request.model_name not in self.tasks:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_name!r}")
        return model(request.model_name, self.tasks[request.model_name])


def serve(fake: Fake, credentials: grpc.ServerCredentials | None = None) -> tuple[Any, int]:
    """A started server of the fake, and its port."""
    server = grpc.server(ThreadPoolExecutor(8))
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(fake, server)
    explanation_pb2_grpc.add_ExplanationServiceServicer_to_server(fake, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    health_pb2_grpc.add_HealthServicer_to_server(fake, server)
    port = (
        server.add_secure_port("localhost:0", credentials)
        if credentials
        else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    return server, port


@pytest.fixture
def scripted() -> Any:
    """This module: the functions that make messages and servers."""
    return sys.modules[__name__]


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def target(fake: Fake) -> Iterator[str]:
    server, port = serve(fake)
    yield f"localhost:{port}"
    server.stop(None).wait()


class Blocking:
    """The asynchronous client, awaited by each call: what holds for one holds for both."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = self.run(self._made(*args, **kwargs))

    async def _made(self, *args: Any, **kwargs: Any) -> aio.Client:
        return aio.Client(*args, **kwargs)

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = getattr(self.client, name)(*args, **kwargs)
            return self.blocking(answer)

        return call

    def blocking(self, answer: Any) -> Any:
        if inspect.isawaitable(answer):
            return self.run(answer)
        return BlockingStream(self, answer) if hasattr(answer, "__anext__") else answer

    def close(self) -> None:
        self.run(self.client.close())
        self.loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class BlockingStream:
    """An asynchronous iterator, awaited item by item."""

    owner: Blocking
    stream: Any

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return self.owner.run(anext(self.stream))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.owner.run(self.stream.__aexit__(None, None, None))

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.owner.blocking(getattr(self.stream, name)(*args, **kwargs))

        return call


@pytest.fixture(params=[Client, Blocking], ids=["sync", "aio"])
def make(request: pytest.FixtureRequest, target: str) -> Iterator[Callable[..., Any]]:
    """Makes clients of both kinds, connected to the fake server."""
    made: list[Any] = []

    def connect(to: str = target, **settings: Any) -> Any:
        made.append(request.param(to, **settings))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def client(make: Callable[..., Any]) -> Any:
    return make()
