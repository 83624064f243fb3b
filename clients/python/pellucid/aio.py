# ruff: noqa: ASYNC109 - gRPC keeps the deadline itself, and tells the server of it
"""The client for asyncio: as `pellucid.Client`, with `await` and `async for`."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast, overload

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from pellucid._transport.aio_evaluation_stream import EvaluationStream, OptimizationStream
from pellucid._transport.aio_evaluations import EvaluationCalls
from pellucid._transport.aio_stream import ExplanationStream
from pellucid._transport.bearer import Token
from pellucid._transport.calls import (
    EOF,
    HEALTH_CHECK,
    STREAM_TIMEOUT,
    TIMEOUT,
    Health,
    batch,
    health_request,
    health_response,
    query,
)
from pellucid._transport.channel import Endpoint, Options, Tls
from pellucid._transport.window import Outcome, Window
from pellucid._wire import catalog, predictions
from pellucid._wire.explanations import Targets, explain_request
from pellucid._wire.parameters import TaskParameters
from pellucid._wire.predictions import Query
from pellucid.errors import InternalError, UnavailableError
from pellucid.explanations import Overlay
from pellucid.models import Method, Model
from pellucid.results import AnyResult
from pellucid.types import ImageLike, InputLike, Inputs, ParameterValue, Task
from pellucid.v1 import explanation_pb2, inference_pb2, model_pb2
from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceStub
from pellucid.v1.explanation_pb2_grpc import ExplanationServiceStub
from pellucid.v1.inference_pb2_grpc import InferenceServiceStub
from pellucid.v1.model_pb2_grpc import ModelServiceStub

if TYPE_CHECKING:
    from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceAsyncStub
    from pellucid.v1.explanation_pb2_grpc import ExplanationServiceAsyncStub
    from pellucid.v1.inference_pb2_grpc import InferenceServiceAsyncStub
    from pellucid.v1.model_pb2_grpc import ModelServiceAsyncStub

__all__ = ["Client", "EvaluationStream", "ExplanationStream", "OptimizationStream"]


class Client(EvaluationCalls):
    """A connection to a server, to be made in a running event loop; use `async with`.

    The arguments are those of `pellucid.Client`.
    """

    def __init__(
        self,
        target: str = "localhost:8001",
        *,
        timeout: float | None = TIMEOUT,
        tls: Tls | bool | None = None,
        token: Token | None = None,
        metadata: Mapping[str, str] | None = None,
        retries: int = 3,
        options: Options = (),
    ) -> None:
        endpoint = Endpoint(target, tls, token, metadata, retries + 1, options)
        super().__init__(endpoint, timeout)
        credentials = endpoint.credentials()
        channel_options = endpoint.channel_options()
        self._channel = (
            grpc.aio.secure_channel(target, credentials, channel_options)
            if credentials
            else grpc.aio.insecure_channel(target, channel_options)
        )
        # The Async stubs exist for type checkers alone.
        self._inference = cast("InferenceServiceAsyncStub", InferenceServiceStub(self._channel))
        self._explanation = cast(
            "ExplanationServiceAsyncStub", ExplanationServiceStub(self._channel)
        )
        self._models = cast("ModelServiceAsyncStub", ModelServiceStub(self._channel))
        self._evaluations = cast("EvaluationServiceAsyncStub", EvaluationServiceStub(self._channel))
        self._health = self._channel.unary_unary(
            HEALTH_CHECK, StringValue.SerializeToString, Int32Value.FromString
        )

    @overload
    async def predict(
        self,
        image: InputLike,
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        timeout: float | None = None,
        **parameters: Unpack[TaskParameters],
    ) -> AnyResult: ...

    @overload
    async def predict(
        self,
        image: Inputs,
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        timeout: float | None = None,
        **parameters: Unpack[TaskParameters],
    ) -> list[AnyResult]: ...

    async def predict(
        self,
        image: InputLike | Inputs,
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        timeout: float | None = None,
        **parameters: Unpack[TaskParameters],
    ) -> AnyResult | list[AnyResult]:
        """Predicts an image, or a list or tuple of images in one call."""
        asked = query(model, version, raw_outputs, dict(parameters))
        images, many = batch(image)
        task = await self._task_for(asked)
        request = await asyncio.to_thread(asked.request, images, task)
        response = await self._unary(self._inference.Predict, request, timeout)
        results = predictions.results(response, len(images))
        return results if many else results[0]

    async def predict_many(
        self,
        images: Iterable[InputLike] | AsyncIterable[InputLike],
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        ordered: bool = False,
        in_flight: int = 8,
        timeout: float | None = STREAM_TIMEOUT,
        **parameters: Unpack[TaskParameters],
    ) -> AsyncIterator[Outcome]:
        """Predicts any number of images on one connection, `in_flight` of them at a time."""
        asked = query(model, version, raw_outputs, dict(parameters))
        template = asked.request([], await self._task_for(asked))
        window = Window(template, limit=in_flight, ordered=ordered)
        attempt = self._attempt(timeout)
        call = self._inference.PredictStream(**attempt.options())
        source = aiter(images) if isinstance(images, AsyncIterable) else _each(images)
        try:
            while True:
                more = await _fill(window, source, call)
                for outcome in window.outcomes():
                    yield outcome
                if window.waiting:
                    window.receive(await _answer(call))
                elif not more:
                    return
        except grpc.aio.AioRpcError as error:
            raise attempt.stream_error(error) from None
        finally:
            call.cancel()

    def explain(
        self,
        image: ImageLike,
        *,
        model: str,
        version: str = "",
        targets: Targets = (),
        top_k: int = 0,
        method: str = "rise",
        overlay: bool | Overlay = False,
        progress_interval: float | None = None,
        partial_maps: float | None = None,
        compact_maps: bool | None = None,
        task_parameters: TaskParameters | None = None,
        timeout: float | None = STREAM_TIMEOUT,
        **parameters: ParameterValue,
    ) -> ExplanationStream:
        """Explains an image; the call begins with the first event that is awaited."""
        asked = query(model, version, False, dict(task_parameters or {}))

        async def build() -> explanation_pb2.ExplainRequest:
            return await asyncio.to_thread(
                explain_request,
                image,
                model=model,
                version=version,
                targets=targets,
                top_k=top_k,
                method=method,
                overlay=overlay,
                progress_interval=progress_interval,
                partial_maps=partial_maps,
                compact_maps=compact_maps,
                parameters=parameters,
                asked=asked,
                task=await self._task_for(asked),
            )

        return ExplanationStream(build, self._explanation.Explain, self._attempt(timeout))

    async def models(self, task: Task | str | None = None) -> list[Model]:
        """The models of the repository, or those of one task."""
        request = catalog.list_models_request(task)
        response = await self._unary(self._models.ListModels, request)
        return [catalog.model(each) for each in response.models]

    async def model(self, name: str) -> Model:
        """One model, by its name or an alias."""
        request = model_pb2.GetModelRequest(model_name=name)
        response = await self._unary(self._models.GetModel, request)
        return catalog.model(response.model)

    async def load_model(
        self, name: str, version: str = "", *, timeout: float | None = None
    ) -> Model:
        """Reads a model from the repository, or reads it again, and serves it."""
        self._tasks.pop(name, None)
        request = model_pb2.LoadModelRequest(model_name=name, model_version=version)
        response = await self._unary(self._models.LoadModel, request, timeout)
        return catalog.model(response.model)

    async def unload_model(self, name: str, version: str = "") -> Model:
        """Stops serving a model, or one version of it."""
        self._tasks.pop(name, None)
        request = model_pb2.UnloadModelRequest(model_name=name, model_version=version)
        response = await self._unary(self._models.UnloadModel, request)
        return catalog.model(response.model)

    async def methods(self, model: str = "") -> list[Method]:
        """The methods of explanation, or those that serve a model."""
        request = explanation_pb2.ListMethodsRequest(model_name=model)
        response = await self._unary(self._explanation.ListMethods, request)
        return [catalog.method(each) for each in response.methods]

    async def health(self, service: str = "") -> Health:
        """What the server, or one service of it, says of its health."""
        return health_response(await self._unary(self._health, health_request(service)))

    async def server_ready(self) -> bool:
        """Whether a server answers and serves."""
        try:
            return await self.health() is Health.SERVING
        except UnavailableError:
            return False

    async def close(self) -> None:
        """Ends the connection, and with it the calls that run."""
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _task_for(self, asked: Query) -> Task | None:
        if asked.needs_task and asked.model not in self._tasks:
            self._tasks[asked.model] = (await self.model(asked.model)).task
        return self._tasks.get(asked.model) if asked.needs_task else None


async def _each(images: Iterable[InputLike]) -> AsyncIterator[InputLike]:
    for image in images:
        yield image


async def _fill(window: Window, source: AsyncIterator[InputLike], call: Any) -> bool:
    """Sends images until the window is full; whether there may be more."""
    while not window.full:
        try:
            image = await anext(source)
        except StopAsyncIteration:
            return False
        request = await asyncio.to_thread(window.take, image)
        if request is not None:
            with suppress(asyncio.InvalidStateError):  # it ended: the next read says how
                await call.write(request)
    return True


async def _answer(call: Any) -> inference_pb2.PredictStreamResponse:
    answer: inference_pb2.PredictStreamResponse | object = await call.read()
    if answer is EOF:
        raise InternalError("the server ended the stream before the last answer")
    return cast("inference_pb2.PredictStreamResponse", answer)
