"""Optimised versions: from a served model and images to calibrate with to a new served version."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pellucid_server.call import Call
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import InvalidInput
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.optimizer import Optimizer
from pellucid_server.runtime.optimize.plan import Judge, Made, Plan, Progress, Quantization
from pellucid_server.runtime.repository import ModelEntry, ModelRepository, VersionEntry
from pellucid_server.runtime.served import ServedModel
from pellucid_server.tasks.base import TaskModel
from pellucid_server.types import Feeds, Image, Outputs, TaskParameters


@dataclass(frozen=True)
class CalibrationSample:
    """An image to calibrate with; no parameters: the task's defaults."""

    image: Image
    parameters: TaskParameters | None = None


@dataclass(frozen=True)
class OptimizeRequest:
    """What to make; no version: of the default one."""

    model_name: str
    optimization: Optimization
    model_version: str = ""
    quantization: Quantization = field(default_factory=Quantization)
    samples: Callable[[], Iterator[CalibrationSample]] = lambda: iter(())
    """Samples from the first on, at each call: quantisation goes through them more than once."""
    judge: Judge | None = None
    """Runs the model as a task's `predict` does; needed where a drop is limited."""
    judged: int = 0
    """Items that there are to judge with."""


@dataclass(frozen=True)
class OptimizeProgress:
    """How far a stage is; `total` 0 and no `remaining` where nobody knows. Seconds."""

    stage: str
    done: int
    total: int
    elapsed: float
    """Since the call was accepted."""
    remaining: float | None = None
    """Of the stage."""


@dataclass(frozen=True)
class OptimizeResult:
    """The model with its new version, which is served."""

    model: ModelEntry
    version: VersionEntry


OptimizeEvent = OptimizeProgress | OptimizeResult


class ModelOptimizer:
    """Makes new versions of models, and serves them."""

    def __init__(self, models: ModelRepository, tasks: TaskModels, optimizer: Optimizer) -> None:
        self._models = models
        self._tasks = tasks
        self._optimizer = optimizer

    def optimize(
        self, request: OptimizeRequest, call: Call
    ) -> Generator[OptimizeEvent, None, None]:
        """Makes a version of a model and serves it beside its parent; the result comes last.

        Closing the generator ends the work within a moment, and leaves nothing.

        Raises:
            PellucidError: of any kind; those of `Optimizer.run` and of the samples.
        """
        served = self._models.get(request.model_name, request.model_version)
        clock = _Clock()
        with closing(self._optimizer.run(served, self._plan(served, request), call)) as events:
            for event in events:
                if isinstance(event, Made):
                    yield self._result(served.name, event.version)
                else:
                    yield clock.event(event)

    def _plan(self, served: ServedModel, request: OptimizeRequest) -> Plan:
        if request.optimization is Optimization.FP16:
            return Plan(request.optimization)
        task = self._tasks.get(served)

        def calibration() -> Iterator[Feeds]:
            return (first_feeds(task, sample) for sample in request.samples())

        how = request.quantization
        return Plan(request.optimization, how, calibration, request.judge, request.judged)

    def _result(self, name: str, number: int) -> OptimizeResult:
        model = self._models.load(name, str(number))
        version = next(each for each in model.versions if each.version == number)
        return OptimizeResult(model, version)


class _Clock:
    """Turns a stage's progress into events with times."""

    def __init__(self) -> None:
        self._start = self._stage_start = self._last = time.perf_counter()
        self._stage = ""

    def event(self, progress: Progress) -> OptimizeProgress:
        """How far the work is now."""
        now = time.perf_counter()
        if progress.stage != self._stage:
            self._stage, self._stage_start = progress.stage, self._last
        self._last = now
        remaining = None
        if progress.done and progress.total:
            each = (now - self._stage_start) / progress.done
            remaining = each * (progress.total - progress.done)
        return OptimizeProgress(
            str(progress.stage), progress.done, progress.total, now - self._start, remaining
        )


class _Seen(Exception):
    """The task asked for its first inference."""

    def __init__(self, feeds: Feeds) -> None:
        self.feeds = feeds


def first_feeds(task: TaskModel[Any, Any], sample: CalibrationSample) -> Feeds:
    """What the model sees first of a sample: where it works in tiles, the first one.

    Raises:
        InvalidInput: the image or the parameters do not fit the task.
    """

    def infer(feeds: Feeds) -> Outputs:
        raise _Seen(feeds)

    parameters = task.parameters() if sample.parameters is None else sample.parameters
    try:
        task.predict(sample.image, parameters, infer)
    except _Seen as seen:
        return seen.feeds
    raise InvalidInput(f"{task.task} asks the model nothing of an image", field="model_name")
