"""From a request to what runs: the model, the data set's rows, and who judges them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from pellucid_server.engine.evaluation.request import EvaluationRequest, PreprocessOverride
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import InvalidInput, ModelUnavailable
from pellucid_server.evaluate.annotations import Flaw, Sample
from pellucid_server.evaluate.evaluator import Evaluator, Options
from pellucid_server.evaluate.evaluators import EVALUATORS, evaluator
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats import find_format
from pellucid_server.evaluate.open import Places, open_dataset_files
from pellucid_server.evaluate.subset import take
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import Preprocess
from pellucid_server.tasks.base import TaskModel
from pellucid_server.tasks.regression import Regression

MOST_BATCH = 64
LOOK_EVERY = 1000
"""Rows counted between looks at whether the caller is still there."""


@dataclass(frozen=True)
class Plan:
    """What an evaluation will do."""

    request: EvaluationRequest
    served: ServedModel
    """With the preprocessing asked for."""
    task: TaskModel[Any, Any]
    files: Files
    rows: Callable[[], Iterator[Sample | Flaw]]
    """Reads the subset from its beginning."""
    evaluator: Callable[[], Evaluator]

    def count(self, check: Callable[[], None]) -> int:
        """How many rows there are.

        Raises:
            InvalidInput: none.
        """
        total = 0
        for total, _ in enumerate(self.rows(), start=1):
            if total % LOOK_EVERY == 0:
                check()
        if not total:
            raise InvalidInput("the data set has no images", field="dataset")
        return total


@dataclass(frozen=True)
class Planner:
    """Makes plans; everything that can be wrong with a request is found here."""

    models: ModelRepository
    tasks: TaskModels
    places: Places
    batch: Callable[[ServedModel], int] = lambda _: 1
    """Images in one inference where the caller leaves it open, of a model that takes several."""

    def plan(self, request: EvaluationRequest, check: Callable[[], None]) -> Plan:
        """What a request means; `check` may raise to give up.

        Raises:
            PellucidError: of any kind, with the field at fault.
        """
        served, task = self._model(request)
        batch = self._batch(request.batch, served, task)
        files = open_dataset_files(request.dataset, self.places, check)
        layout = find_format(files, task.task, request.dataset_format)
        judged = EVALUATORS.get(task.task)
        parameters = layout.parse(request.parameters, judged.parameter_names if judged else ())
        options = Options(
            labels=served.spec.labels,
            label_map=request.label_map,
            threshold=threshold_of(request, task),
            metrics=request.metrics,
            parameters=request.parameters,
            classes=layout.classes(files, task.task, parameters),
            multi_label=getattr(task, "multi_label", False),
        )
        evaluator(task.task, options)  # refuses what it does not know
        return Plan(
            replace(
                request,
                model_name=served.name,
                model_version=str(served.version),
                dataset_format=layout.name,
                batch=batch,
            ),
            served,
            task,
            files,
            lambda: take(lambda: layout.read(files, task.task, parameters), request.subset),
            lambda: evaluator(task.task, options),
        )

    def _batch(self, wanted: int, served: ServedModel, task: TaskModel[Any, Any]) -> int:
        """The caller's, or ours."""
        if not 0 <= wanted <= MOST_BATCH:
            raise InvalidInput(
                f"batch is {wanted}: give 1 to {MOST_BATCH}, or 0 to leave it to the server",
                field="batch",
            )
        if wanted > 1 and not _takes_batches(task):
            raise InvalidInput(
                f"this {task.task} model takes one image at a time here: set batch to 1",
                field="batch",
            )
        if wanted:
            return wanted
        return self.batch(served) if _takes_batches(task) else 1

    def _model(self, request: EvaluationRequest) -> tuple[ServedModel, TaskModel[Any, Any]]:
        served = self.models.get(request.model_name, request.model_version)
        if request.preprocess is None:
            return served, self.tasks.get(served)
        if takes_features(self.tasks.get(served)):
            raise InvalidInput(f"{served.name} takes no images: unset it", field="preprocess")
        served = _with_preprocess(served, request.preprocess)
        try:
            return served, self.tasks.get(served)
        except ModelUnavailable as error:
            raise InvalidInput(error.message, field="preprocess") from error


def _with_preprocess(served: ServedModel, wanted: PreprocessOverride) -> ServedModel:
    """A copy of a model that prepares images otherwise."""
    changes = {name: value for name, value in vars(wanted).items() if value}
    try:
        preprocess = Preprocess.model_validate(served.spec.preprocess.model_dump() | changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(("preprocess", *map(str, first["loc"][:1])))
        raise InvalidInput(first["msg"], field=field) from error
    spec = served.spec.model_copy(update={"preprocess": preprocess})
    return replace(served, spec=spec)


def threshold_of(request: EvaluationRequest, task: TaskModel[Any, Any]) -> float | None:
    """The caller's, or the model's own."""
    if request.threshold is None:
        found: float | None = getattr(getattr(task, "options", None), "confidence_threshold", None)
        return found
    if not 0 <= request.threshold <= 1:
        raise InvalidInput(
            f"threshold is {request.threshold:g}: give a value from 0 to 1", field="threshold"
        )
    return request.threshold


def _takes_batches(task: TaskModel[Any, Any]) -> bool:
    """Whether its images are all of one size, and one run is all that each needs."""
    if takes_features(task) or takes_several_runs(task) or len(task.inputs) > 1:
        return False
    return task.input_size is not None


def takes_features(task: TaskModel[Any, Any]) -> bool:
    """Whether it takes rows of a table, not images."""
    return isinstance(task, Regression) and task.takes_features


def takes_several_runs(task: TaskModel[Any, Any]) -> bool:
    """Whether one image takes more than one inference."""
    return type(task).predict is not TaskModel.predict
