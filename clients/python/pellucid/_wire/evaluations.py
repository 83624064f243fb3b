"""Evaluations: requests out of what callers pass, events out of responses."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike, fspath
from typing import Any, TypedDict

from pellucid._wire import common
from pellucid.errors import InvalidArgumentError
from pellucid.evaluations import (
    ClassReport,
    Confusion,
    Curve,
    Evaluation,
    EvaluationEvent,
    EvaluationProgress,
    EvaluationReport,
    EvaluationSettings,
    EvaluationState,
    Metric,
    Preprocess,
    Subset,
)
from pellucid.types import ParameterValue
from pellucid.v1 import evaluation_pb2 as pb

Place = str | PathLike[str]


class EvaluateOptions(TypedDict, total=False):
    """Keywords of `evaluate`."""

    version: str
    format: str
    subset: Subset | int | None
    metrics: Sequence[str]
    label_map: Mapping[str, str] | None
    strict: bool
    threshold: float | None
    batch: int
    preprocess: Preprocess | None
    parameters: Mapping[str, ParameterValue] | None
    cancel_on_disconnect: bool
    progress_interval: float | None


def evaluate_request(
    dataset: Place,
    model: str,
    *,
    version: str = "",
    format: str = "",  # noqa: A002 - the keyword's name
    subset: Subset | int | None = None,
    metrics: Sequence[str] = (),
    label_map: Mapping[str, str] | None = None,
    strict: bool = False,
    threshold: float | None = None,
    batch: int = 0,
    preprocess: Preprocess | None = None,
    parameters: Mapping[str, ParameterValue] | None = None,
    cancel_on_disconnect: bool = False,
    progress_interval: float | None = None,
) -> pb.EvaluateDatasetRequest:
    """The request of an evaluation.

    Raises:
        TypeError: a keyword that there is not.
    """
    request = pb.EvaluateDatasetRequest(
        dataset=fspath(dataset),
        model_name=model,
        model_version=version,
        dataset_format=format,
        metrics=[metrics] if isinstance(metrics, str) else metrics,
        label_map=label_map or {},
        strict=strict,
        threshold=threshold,
        batch=batch,
        parameters={name: _text(value) for name, value in (parameters or {}).items()},
        cancel_on_disconnect=cancel_on_disconnect,
    )
    if subset is not None:
        request.subset.CopyFrom(_subset(subset))
    if preprocess is not None:
        request.preprocess.CopyFrom(_preprocess(preprocess))
    if progress_interval is not None:
        request.progress_interval.FromTimedelta(timedelta(seconds=progress_interval))
    return request


def list_request(model: str, state: str) -> pb.ListEvaluationsRequest:
    """The request for evaluations of one model, in one state; empty: all.

    Raises:
        InvalidArgumentError: a state that there is not.
    """
    known = [each for each in EvaluationState if each is not EvaluationState.UNSPECIFIED]
    if state and state not in known:
        raise InvalidArgumentError(f"no state {state!r}: {', '.join(known)}", field="state")
    number = pb.EvaluationState.Value(f"EVALUATION_STATE_{state.upper() or 'UNSPECIFIED'}")
    return pb.ListEvaluationsRequest(model_name=model, state=number)


def event(message: Any) -> EvaluationEvent | None:
    """An event of a stream; `None` for one of a newer contract."""
    match message.WhichOneof("event"):
        case "accepted":
            return evaluation(message.accepted)
        case "progress":
            return _progress(message.progress)
        case "report":
            return report(message.report)
    return None


def described(response: pb.GetEvaluationResponse) -> Evaluation:
    """An evaluation with its report, where it has one."""
    found = report(response.report) if response.HasField("report") else None
    return evaluation(response.evaluation, found)


def evaluation(message: pb.Evaluation, found: EvaluationReport | None = None) -> Evaluation:
    """An evaluation."""
    state = common.choice(pb.EvaluationState, message.state, "EVALUATION_STATE_")
    return Evaluation(
        name=message.name,
        state=EvaluationState(state),
        settings=_settings(message.request),
        task=common.task(message.task),
        version=message.model_version,
        precision=message.precision,
        total=message.total,
        done=message.done,
        create_time=common.when(message, "create_time"),
        end_time=common.when(message, "end_time"),
        reason=message.reason,
        dataset_digest=message.dataset_digest,
        report=found,
    )


def report(message: pb.EvaluationReport) -> EvaluationReport:
    """A report."""
    return EvaluationReport(
        metrics=_metrics(message.metrics),
        classes=tuple(map(_class, message.classes)),
        confusions=tuple(
            Confusion(each.annotated_class_id, each.predicted_class_id, each.count)
            for each in message.confusions
        ),
        images=message.images,
        bad_annotations=message.bad_annotations,
        curves=tuple(map(_curve, message.curves)),
        images_per_second=message.images_per_second,
    )


def _text(value: ParameterValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _subset(subset: Subset | int) -> pb.Subset:
    given = Subset(subset) if isinstance(subset, int) else subset
    return pb.Subset(
        size=given.size, random=given.random, seed=given.seed, per_class=given.per_class
    )


def _preprocess(given: Preprocess) -> pb.PreprocessOverride:
    return pb.PreprocessOverride(
        resize=given.resize, color=given.color, mean=given.mean, scale=given.scale
    )


def _settings(message: pb.EvaluateDatasetRequest) -> EvaluationSettings:
    subset, preprocess = message.subset, message.preprocess
    return EvaluationSettings(
        model=message.model_name,
        version=message.model_version,
        dataset=message.dataset,
        format=message.dataset_format,
        subset=Subset(subset.size, subset.random, subset.seed, subset.per_class)
        if message.HasField("subset")
        else None,
        metrics=tuple(message.metrics),
        label_map=dict(message.label_map),
        strict=message.strict,
        threshold=message.threshold if message.HasField("threshold") else None,
        batch=message.batch,
        preprocess=Preprocess(
            preprocess.resize, preprocess.color, tuple(preprocess.mean), tuple(preprocess.scale)
        )
        if message.HasField("preprocess")
        else None,
        parameters=dict(message.parameters),
    )


def _progress(message: pb.EvaluationProgress) -> EvaluationProgress:
    return EvaluationProgress(
        done=message.done,
        total=message.total,
        elapsed=common.seconds(message.elapsed),
        remaining=common.seconds(message.remaining),
        images_per_second=message.images_per_second,
        metrics=_metrics(message.metrics),
    )


def _metrics(messages: Sequence[pb.Metric]) -> tuple[Metric, ...]:
    return tuple(Metric(each.name, each.value, each.unit) for each in messages)


def _class(message: pb.ClassReport) -> ClassReport:
    return ClassReport(
        common.category(message.category),
        message.precision,
        message.recall,
        message.f1,
        message.support,
        _metrics(message.metrics),
    )


def _curve(message: pb.Curve) -> Curve:
    return Curve(
        message.name, message.label, tuple(message.x), tuple(message.y), tuple(message.counts)
    )
