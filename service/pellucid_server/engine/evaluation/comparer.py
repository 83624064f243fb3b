"""Two evaluations of one data set: what changed, and whether the models look elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.plan import Plan, Planner
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.explanation import ExplainRequest, Explanation
from pellucid_server.errors import InvalidInput, NotFound, PellucidError
from pellucid_server.evaluate.compare import Comparison, Settings, compare, correlation
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, State, Store
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.types import Category, EncodedImage, Task

MOST_EXPLAINED = 200
EXPLAINED_BYTES = 256 * 2**20
"""Largest image that is explained."""


@dataclass(frozen=True)
class CompareRequest:
    """Which evaluations, and how much of them to look at."""

    baseline: str
    candidate: str
    settings: Settings
    explained_images: int = 0


@dataclass(frozen=True)
class MapCorrelation:
    """How two importance maps of one image agree."""

    path: str
    index: int
    category: Category
    correlation: float


@dataclass(frozen=True)
class ComparedModel:
    """One of two models that are compared."""

    evaluation: Evaluation
    size_bytes: int
    inference_seconds: float


@dataclass(frozen=True)
class Compared:
    """What a comparison found."""

    comparison: Comparison
    baseline: ComparedModel
    candidate: ComparedModel
    map_correlations: tuple[MapCorrelation, ...]


@dataclass(frozen=True)
class Comparer:
    """Compares evaluations that are done."""

    store: Store
    planner: Planner
    explainer: Explainer
    models: ModelRepository

    def compare(self, request: CompareRequest, call: Call) -> Compared:
        """Compares two evaluations.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: they do not go together, or one is not done.
        """
        one = self._done(request.baseline, "baseline")
        _check_explained(request, one)
        other = self._done(request.candidate, "candidate")
        plans = [
            self.planner.plan(EvaluationRequest.from_json(each.request), call.check)
            for each in (one, other)
        ]
        comparison = compare(
            self._rows(one, call),
            self._rows(other, call),
            (plans[0].evaluator(), plans[1].evaluator()),
            request.settings,
        )
        return Compared(
            comparison,
            self._model(one, comparison.seconds[0]),
            self._model(other, comparison.seconds[1]),
            tuple(self._correlations(one, other, plans[0], request.explained_images, call)),
        )

    def _done(self, name: str, field: str) -> Evaluation:
        try:
            evaluation = self.store.get(name)
        except NotFound as error:
            raise NotFound(error.message, field=field) from error
        if evaluation.state is not State.SUCCEEDED:
            raise InvalidInput(
                f"{name} is {evaluation.state}: compare evaluations that succeeded", field=field
            )
        return evaluation

    def _rows(self, evaluation: Evaluation, call: Call) -> Iterator[Row]:
        for row in self.store.rows(evaluation.name):
            call.check()
            yield row

    def _model(self, evaluation: Evaluation, seconds: float) -> ComparedModel:
        try:
            versions = self.models.entry(evaluation.model_name).versions
        except PellucidError:  # it was removed since
            versions = ()
        wanted = (each for each in versions if str(each.version) == evaluation.model_version)
        size = next((each.size_bytes for each in wanted), 0)
        return ComparedModel(evaluation, size, seconds)

    def _correlations(
        self, one: Evaluation, other: Evaluation, plan: Plan, count: int, call: Call
    ) -> Iterator[MapCorrelation]:
        """Of images spread evenly over the data set."""
        places = np.unique(np.linspace(0, max(one.done - 1, 0), count).round().astype(int))
        for index in places.tolist():
            row = self.store.row(one.name, index)
            if row.predicted is None:
                continue
            data = plan.files.read(row.path, EXPLAINED_BYTES)
            maps = [self._map(each, data, row.predicted.class_id, call) for each in (one, other)]
            yield MapCorrelation(row.path, index, row.predicted, correlation(*maps))

    def _map(
        self, evaluation: Evaluation, data: bytes, class_id: int, call: Call
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        request = ExplainRequest(
            evaluation.model_name,
            EncodedImage(data),
            model_version=evaluation.model_version,
            targets=(class_id,),
        )
        *_, last = self.explainer.explain(request, call)
        if not isinstance(last, Explanation):
            raise TypeError("an explanation ends with its map")
        return last.saliency_map.values


def _check_explained(request: CompareRequest, baseline: Evaluation) -> None:
    if not 0 <= request.explained_images <= MOST_EXPLAINED:
        raise InvalidInput(
            f"explained_images is {request.explained_images}: give 0 to {MOST_EXPLAINED}",
            field="explained_images",
        )
    if request.explained_images and baseline.task != Task.CLASSIFICATION:
        raise InvalidInput(
            f"maps of {baseline.task} models are not compared: set explained_images to 0",
            field="explained_images",
        )
