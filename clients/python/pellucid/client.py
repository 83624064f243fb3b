"""The client for synchronous code; `pellucid.aio` has the same for asyncio."""

from collections.abc import Iterable, Iterator, Mapping
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, Unpack, overload

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from pellucid._transport.bearer import Token
from pellucid._transport.calls import (
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
from pellucid._transport.evaluations import EvaluationCalls
from pellucid._transport.stream import ExplanationStream
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


class Client(EvaluationCalls):
    """A connection to a server; safe to share between threads; close it or use `with`.

    `timeout` is in seconds, for each call that sets none of its own; `retries` counts the
    tries after the first, where trying again is safe; `options` are gRPC's channel options. A
    `token` that is a path is read for every call, so that it may change.
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
        self._channel = endpoint.channel()
        self._inference = InferenceServiceStub(self._channel)
        self._explanation = ExplanationServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._evaluations = EvaluationServiceStub(self._channel)
        self._health = self._channel.unary_unary(
            HEALTH_CHECK, StringValue.SerializeToString, Int32Value.FromString
        )

    @overload
    def predict(
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
    def predict(
        self,
        image: Inputs,
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        timeout: float | None = None,
        **parameters: Unpack[TaskParameters],
    ) -> list[AnyResult]: ...

    def predict(
        self,
        image: InputLike | Inputs,
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        timeout: float | None = None,
        **parameters: Unpack[TaskParameters],
    ) -> AnyResult | list[AnyResult]:
        """Predicts an image, or a list or tuple of images in one call.

        Raises:
            PellucidError: what the server answered; TypeError: an unknown parameter.
        """
        asked = query(model, version, raw_outputs, dict(parameters))
        images, many = batch(image)
        request = asked.request(images, self._task_for(asked))
        results = predictions.results(
            self._unary(self._inference.Predict, request, timeout), len(images)
        )
        return results if many else results[0]

    def predict_many(
        self,
        images: Iterable[InputLike],
        *,
        model: str,
        version: str = "",
        raw_outputs: bool = False,
        ordered: bool = False,
        in_flight: int = 8,
        timeout: float | None = STREAM_TIMEOUT,
        **parameters: Unpack[TaskParameters],
    ) -> Iterator[Outcome]:
        """Predicts any number of images on one connection, `in_flight` of them at a time.

        Outcomes come as they complete, or in the order of the images. An image that fails
        becomes an outcome with an `error`, and the others go on; `timeout` is for all.
        """
        asked = query(model, version, raw_outputs, dict(parameters))
        template = asked.request([], self._task_for(asked))
        return self._stream(Window(template, limit=in_flight, ordered=ordered), images, timeout)

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
        """Explains an image: why the model says `targets`, or its `top_k` classes or objects.

        Targets are labels, class ids or categories of a prediction, its detections, boxes of
        the image, or `Target`s. `partial_maps` asks for the maps as they stand every so many
        seconds. Maps of more than 16 targets come as 16 bits a value, half a step of 65535
        over their range off at most; `compact_maps` says otherwise. `task_parameters` are
        keywords of `predict`: `{"rectangles": [...]}`. Other keywords are the method's own
        parameters, as `methods()` lists them.
        """
        asked = query(model, version, False, dict(task_parameters or {}))
        request = explain_request(
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
            task=self._task_for(asked),
        )
        attempt = self._attempt(timeout)
        return ExplanationStream(
            lambda: self._explanation.Explain(request, **attempt.options()), attempt
        )

    def models(self, task: Task | str | None = None) -> list[Model]:
        """The models of the repository, or those of one task."""
        request = catalog.list_models_request(task)
        response = self._unary(self._models.ListModels, request)
        return [catalog.model(each) for each in response.models]

    def model(self, name: str) -> Model:
        """One model, by its name or an alias."""
        request = model_pb2.GetModelRequest(model_name=name)
        return catalog.model(self._unary(self._models.GetModel, request).model)

    def load_model(self, name: str, version: str = "", *, timeout: float | None = None) -> Model:
        """Reads a model from the repository, or reads it again, and serves it."""
        self._tasks.pop(name, None)
        request = model_pb2.LoadModelRequest(model_name=name, model_version=version)
        return catalog.model(self._unary(self._models.LoadModel, request, timeout).model)

    def unload_model(self, name: str, version: str = "") -> Model:
        """Stops serving a model, or one version of it."""
        self._tasks.pop(name, None)
        request = model_pb2.UnloadModelRequest(model_name=name, model_version=version)
        return catalog.model(self._unary(self._models.UnloadModel, request).model)

    def methods(self, model: str = "") -> list[Method]:
        """The methods of explanation, or those that serve a model."""
        request = explanation_pb2.ListMethodsRequest(model_name=model)
        response = self._unary(self._explanation.ListMethods, request)
        return [catalog.method(each) for each in response.methods]

    def health(self, service: str = "") -> Health:
        """What the server, or one service of it, says of its health."""
        return health_response(self._unary(self._health, health_request(service)))

    def server_ready(self) -> bool:
        """Whether a server answers and serves."""
        try:
            return self.health() is Health.SERVING
        except UnavailableError:
            return False

    def close(self) -> None:
        """Ends the connection, and with it the calls that run."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _task_for(self, asked: Query) -> Task | None:
        if asked.needs_task and asked.model not in self._tasks:
            self._tasks[asked.model] = self.model(asked.model).task
        return self._tasks.get(asked.model) if asked.needs_task else None

    def _stream(
        self, window: Window, images: Iterable[InputLike], timeout: float | None
    ) -> Iterator[Outcome]:
        attempt = self._attempt(timeout)
        requests: SimpleQueue[inference_pb2.PredictStreamRequest | None] = SimpleQueue()
        call: Any = self._inference.PredictStream(iter(requests.get, None), **attempt.options())
        source: Iterator[Any] = iter(images)
        try:
            while True:
                more = _fill(window, source, requests)
                yield from window.outcomes()
                if window.waiting:
                    window.receive(_answer(call))
                elif not more:
                    return
        except grpc.RpcError as error:
            raise attempt.error(error) from None
        finally:
            requests.put(None)
            call.cancel()


def _fill(
    window: Window,
    source: Iterator[InputLike],
    requests: "SimpleQueue[inference_pb2.PredictStreamRequest | None]",
) -> bool:
    """Sends images until the window is full; whether there may be more."""
    while not window.full:
        try:
            image = next(source)
        except StopIteration:
            return False
        request = window.take(image)
        if request is not None:
            requests.put(request)
    return True


def _answer(call: Any) -> inference_pb2.PredictStreamResponse:
    answer: inference_pb2.PredictStreamResponse | None = next(call, None)
    if answer is None:
        raise InternalError("the server ended the stream before the last answer")
    return answer
