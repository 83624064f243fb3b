"""Optimises models with data sets: to calibrate with, and to judge what was lost."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.judge import UNUSABLE
from pellucid_server.engine.evaluation.plan import Plan, Planner
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.engine.evaluation.samples import ImageLimits, SampleReader
from pellucid_server.engine.optimize import (
    CalibrationSample,
    ModelOptimizer,
    OptimizeEvent,
    OptimizeRequest,
)
from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.subset import Subset
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.plan import Quantization, Verdict
from pellucid_server.types import Infer

SEED = 0
"""Calibration images are drawn at random: those of a sorted folder would be of one class."""


@dataclass(frozen=True)
class DatasetOptimizeRequest:
    """What to make of a model, with which data set."""

    model_name: str
    optimization: Optimization
    model_version: str = ""
    dataset: str = ""
    dataset_format: str = ""
    quantization: Quantization = field(default_factory=Quantization)


@dataclass(frozen=True)
class EvaluatedOptimizer:
    """Optimises models with data sets."""

    optimizer: ModelOptimizer
    planner: Planner
    limits: ImageLimits

    def optimize(
        self, request: DatasetOptimizeRequest, call: Call
    ) -> Generator[OptimizeEvent, None, None]:
        """Makes a version of a model and serves it; the result comes last.

        Raises:
            PellucidError: of any kind, with the field at fault.
        """
        if request.optimization is Optimization.FP16:
            plain = OptimizeRequest(request.model_name, request.optimization, request.model_version)
            yield from self.optimizer.optimize(plain, call)
            return
        if not request.dataset:
            raise InvalidInput(
                "INT8 needs a calibration set: images such as the model will see", field="dataset"
            )
        wanted = request.quantization
        plan = self._plan(request, call)
        reader = SampleReader(plan, plan.evaluator(), self.limits)
        items = [each for each in plan.rows() if isinstance(each, Sample)]
        limited = wanted.max_drop is not None
        yield from self.optimizer.optimize(
            OptimizeRequest(
                request.model_name,
                request.optimization,
                request.model_version,
                wanted,
                lambda: self._samples(reader, items, call),
                _judge(plan, reader, items) if limited else None,
                len(items) if limited else 0,
            ),
            call,
        )

    def _plan(self, request: DatasetOptimizeRequest, call: Call) -> Plan:
        size = request.quantization.calibration_size
        evaluation = EvaluationRequest(
            request.model_name,
            request.dataset,
            request.model_version,
            request.dataset_format,
            subset=Subset(size, random=True, seed=SEED),
        )
        return self.planner.plan(evaluation, call.check)

    @staticmethod
    def _samples(
        reader: SampleReader, items: Sequence[Sample], call: Call
    ) -> Iterator[CalibrationSample]:
        for sample in items:
            call.check()
            try:
                parameters, decoded = reader.read(sample)
            except UNUSABLE:  # the evaluation of the set tells of it
                continue
            yield CalibrationSample(decoded.image, parameters)


def _judge(
    plan: Plan, reader: SampleReader, items: Sequence[Sample]
) -> Callable[[Infer, Sequence[int]], Verdict]:
    """Judges a model by the task's main metric, which is the higher the better."""
    if not any(each.annotation for each in items):
        raise InvalidInput(
            "max_accuracy_drop needs a calibration set with annotations", field="dataset"
        )

    def judge(infer: Infer, indices: Sequence[int]) -> Verdict:
        evaluator = plan.evaluator()
        for place, index in enumerate(indices):
            sample = items[index]
            try:
                parameters, decoded = reader.read(sample)
                answer: Any = reader.answer(decoded.image, parameters, infer)
                row = evaluator.row(place, sample, answer, reader.pictures_of(sample), decoded.size)
            except UNUSABLE:
                continue
            evaluator.add(row)
        main = evaluator.metric_names[0]
        return Verdict(next((m.value for m in evaluator.report().metrics if m.name == main), 0.0))

    return judge
