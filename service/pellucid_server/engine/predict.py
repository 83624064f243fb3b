"""Predictions: from what callers send to typed results."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pellucid_server.call import Call
from pellucid_server.engine.promises import Promises
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.engine.tensors import feeds
from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.units import Inference
from pellucid_server.runtime.variants import AS_IS, OF_IMAGE
from pellucid_server.tasks.base import TaskModel
from pellucid_server.types import (
    ANY,
    PARAMETERS,
    Array,
    Feeds,
    Image,
    Outputs,
    Size,
    Source,
    TaskParameters,
    TaskResult,
    TensorInput,
    Timing,
)


@dataclass(frozen=True)
class PredictRequest:
    """What to predict; no parameters: the task's defaults; no version: the default one."""

    model_name: str
    inputs: Sequence[Source]
    model_version: str = ""
    parameters: TaskParameters | None = None
    raw_outputs: bool = False


@dataclass(frozen=True)
class Prediction:
    """What a model says of one input; no size where the input was tensors."""

    input_size: Size | None
    result: TaskResult | None
    raw_outputs: dict[str, Array]
    timing: Timing
    device: float = 0.0
    """Seconds of a device that it took."""


@dataclass(frozen=True)
class PredictResponse:
    """Predictions in the order of the inputs."""

    model_name: str
    model_version: str
    predictions: tuple[Prediction, ...]


class Predictor:
    """Runs models on what callers send."""

    def __init__(
        self,
        models: ModelRepository,
        pool: ModelPool,
        sources: SourceReader,
        tasks: TaskModels,
        max_inputs: int,
        *,
        promises: Promises | None = None,
    ) -> None:
        self._models = models
        self._pool = pool
        self._sources = sources
        self._tasks = tasks
        self._max_inputs = max_inputs
        self._workers = ThreadPoolExecutor(pool.workers, "predict")
        self.promises = promises or Promises(None, workers=pool.workers, cores=os.cpu_count() or 1)

    def predict(
        self, request: PredictRequest, call: Call, *, patient: bool = False
    ) -> PredictResponse:
        """Predicts every input of a request; who is patient waits where others are refused.

        Raises:
            PellucidError: of any kind; those of an input name it.
        """
        served = self._models.get(request.model_name, request.model_version)
        if not 1 <= len(request.inputs) <= self._max_inputs:
            raise InvalidInput(
                f"a request has 1 to {self._max_inputs} inputs (setting `limits.inputs`), "
                f"not {len(request.inputs)}",
                field="inputs",
                reason="inputs",
            )

        def one(index: int) -> Prediction:
            with promise.input() as spent:
                prediction = self._predict(served, request, index, call)
                spent.device = prediction.device
            return prediction

        indices = range(len(request.inputs))
        run = map if len(indices) == 1 else self._workers.map
        with self.promises.give(served, len(indices), call, patient=patient) as promise:
            predictions = tuple(run(one, indices))
        return PredictResponse(served.name, str(served.version), predictions)

    def infer(
        self, model_name: str, model_version: str, tensors: TensorInput, call: Call
    ) -> tuple[ServedModel, Outputs]:
        """Runs a model on tensors as they are."""
        served = self._models.get(model_name, model_version)
        with self.promises.give(served, 1, call) as promise, promise.input() as spent:
            inference = self._infer(served, feeds(tensors, served.inputs, "inputs"), call)
            spent.device = inference.share
        return served, inference.outputs

    def close(self) -> None:
        """Stops the workers."""
        self._workers.shutdown(cancel_futures=True)

    def _predict(
        self, served: ServedModel, request: PredictRequest, index: int, call: Call
    ) -> Prediction:
        source, field = request.inputs[index], f"inputs[{index}]"
        if isinstance(source, TensorInput):
            inputs = feeds(source, served.inputs, f"{field}.tensors.tensors")
            inference = self._infer(served, inputs, call)
            timing = Timing(queue=inference.queue, compute=inference.compute)
            return Prediction(None, None, dict(inference.outputs), timing, inference.share)
        task = self._tasks.get(served)
        parameters = task_parameters(task, request.parameters, request.model_name)
        run = TimedInfer(self._pool, served, call)
        image, size = self._image(source, field, task)
        result = task.predict(image, parameters, run)
        run.note()
        return Prediction(size, result, self._raw(request, run), run.timing(), run.device)

    def _image(self, source: Source, field: str, task: TaskModel[Any, Any]) -> tuple[Image, Size]:
        needed = task.input_size if task.reducible else None
        if needed:
            return self._sources.reduced(source, needed, field)
        image = self._sources.image(source, field)
        return image, Size(*image.shape[:2])

    @staticmethod
    def _raw(request: PredictRequest, run: "TimedInfer") -> dict[str, Array]:
        if not request.raw_outputs:
            return {}
        if run.count > 1:
            raise InvalidInput(
                "the image took several runs of the model, so there is no one raw output: "
                "unset raw_outputs or enlarge super_resolution.tile_size",
                field="raw_outputs",
            )
        return dict(run.outputs)

    def _infer(self, served: ServedModel, inputs: Feeds, call: Call) -> Inference:
        try:
            return self._pool.infer(served, AS_IS, inputs, call)
        except InferenceFailed as error:
            # Only a free dimension leaves something that the shapes did not tell.
            if any(ANY in port.shape for port in served.inputs):
                raise InvalidInput(
                    f"{served.name} cannot run on tensors of these shapes", field="inputs"
                ) from error
            raise


class TimedInfer:
    """Runs a model's image variant and keeps the time: before, waiting, running, after."""

    def __init__(self, pool: ModelPool, served: ServedModel, call: Call) -> None:
        self._pool = pool
        self._served = served
        self._call = call
        self._start = time.monotonic()
        self._first = self._last = self._start
        self._queue = self._compute = 0.0
        self.device = 0.0
        self.count = 0
        self.outputs: Outputs = {}

    def __call__(self, inputs: Feeds) -> Outputs:
        """Runs the model once."""
        if self.count == 0:
            self._first = time.monotonic()
        inference = self._pool.infer(self._served, OF_IMAGE, inputs, self._call, joins=True)
        self._last = time.monotonic()
        self._queue += inference.queue
        self._compute += inference.compute
        self.device += inference.share
        self.count += 1
        self.outputs = inference.outputs
        return inference.outputs

    def note(self) -> None:
        """Tells the call's trace of what was done beside the inferences, up to now."""
        if self._call.span is not None:
            self._call.span.record("prepare", self._start, self._first)
            self._call.span.record("postprocess", self._last, time.monotonic())

    def timing(self) -> Timing:
        """Where the time went, up to now."""
        return Timing(
            prepare=self._first - self._start,
            queue=self._queue,
            compute=self._compute,
            postprocess=time.monotonic() - self._last,
        )


def task_parameters(
    task: TaskModel[Any, Any], given: TaskParameters | None, model_name: str
) -> Any:
    """What a caller gave, or the task's defaults.

    Raises:
        InvalidInput: they are those of another task.
    """
    if given is None:
        return task.parameters()
    if type(given) is not task.parameters:
        kinds = (kind.value for kind, each in PARAMETERS.items() if each is type(given))
        wrong = next(kinds)
        raise InvalidInput(
            f"{model_name} does {task.task.value}: set the parameters of "
            f"`{task.task.value}`, or none, instead of `{wrong}`",
            field=wrong,
        )
    return given
