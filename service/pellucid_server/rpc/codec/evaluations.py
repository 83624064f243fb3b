"""Requests for evaluations, and what they tell."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from pellucid.v1 import evaluation_pb2
from pellucid_server.engine.evaluation.request import (
    EvaluationEvent,
    EvaluationRequest,
    Finished,
    PreprocessOverride,
    Progress,
)
from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.report import ClassReport, Confusion, Curve, Metric, Report
from pellucid_server.evaluate.row_json import report_from_json
from pellucid_server.evaluate.store import Evaluation, State
from pellucid_server.evaluate.subset import Subset
from pellucid_server.rpc.codec.choices import TASKS
from pellucid_server.rpc.codec.durations import decode_duration, encode_duration
from pellucid_server.rpc.codec.geometry import encode_category
from pellucid_server.types import Task

EVALUATION_STATES: Mapping[State, "evaluation_pb2.EvaluationState.ValueType"] = MappingProxyType(
    {
        state: evaluation_pb2.EvaluationState.Value(f"EVALUATION_STATE_{state.name}")
        for state in State
    }
)


def decode_evaluation(message: evaluation_pb2.EvaluateDatasetRequest) -> EvaluationRequest:
    """What to evaluate; what is left out takes its default."""
    interval = EvaluationRequest.progress_interval
    if message.HasField("progress_interval"):
        interval = decode_duration(message.progress_interval, "progress_interval")
    return EvaluationRequest(
        model_name=message.model_name,
        model_version=message.model_version,
        dataset=message.dataset,
        dataset_format=message.dataset_format,
        subset=_subset(message.subset),
        metrics=tuple(message.metrics),
        label_map=dict(message.label_map),
        strict=message.strict,
        cancel_on_disconnect=message.cancel_on_disconnect,
        parameters=dict(message.parameters),
        threshold=message.threshold if message.HasField("threshold") else None,
        preprocess=_preprocess(message) if message.HasField("preprocess") else None,
        batch=message.batch,
        progress_interval=interval,
    )


def decode_state(value: int) -> State | None:
    """How evaluations stand; None where nothing is said."""
    if value == evaluation_pb2.EVALUATION_STATE_UNSPECIFIED:
        return None
    for state, number in EVALUATION_STATES.items():
        if number == value:
            return state
    allowed = ", ".join(evaluation_pb2.EvaluationState.keys()[1:])
    raise InvalidInput(f"{value} is no state: use {allowed}", field="state")


def encode_evaluation(evaluation: Evaluation) -> evaluation_pb2.Evaluation:
    """An evaluation as it stands."""
    return evaluation_pb2.Evaluation(
        name=evaluation.name,
        state=EVALUATION_STATES[evaluation.state],
        request=_request(EvaluationRequest.from_json(evaluation.request)),
        total=evaluation.total or 0,
        create_time=_timestamp(evaluation.created),
        end_time=None if evaluation.ended is None else _timestamp(evaluation.ended),
        reason=evaluation.reason,
        done=evaluation.done,
        model_version=evaluation.model_version,
        precision=evaluation.precision,
        dataset_digest=evaluation.dataset_digest,
        task=TASKS[Task(evaluation.task)],
    )


def encode_event(event: EvaluationEvent) -> dict[str, Any]:
    """The field of a stream's message, and its value."""
    field, write = _WRITERS[type(event)]
    return {field: write(event)}


def encode_stored_report(evaluation: Evaluation) -> evaluation_pb2.EvaluationReport | None:
    """The report, where there is one."""
    if evaluation.report is None:
        return None
    return encode_report(report_from_json(evaluation.report))


def encode_report(report: Report) -> evaluation_pb2.EvaluationReport:
    """What an evaluation found."""
    return evaluation_pb2.EvaluationReport(
        metrics=map(encode_metric, report.metrics),
        classes=map(_class_report, report.classes),
        confusions=map(_confusion, report.confusions),
        images=report.images,
        bad_annotations=report.bad_annotations,
        curves=map(_curve, report.curves),
        images_per_second=report.images_per_second,
    )


def encode_metric(metric: Metric) -> evaluation_pb2.Metric:
    """A metric's value."""
    return evaluation_pb2.Metric(name=metric.name, value=metric.value, unit=metric.unit)


def _subset(message: evaluation_pb2.Subset) -> Subset:
    if message.size < 0:
        raise InvalidInput(
            f"size is {message.size}: give a number of images, or 0 for all", field="subset.size"
        )
    return Subset(message.size, message.random, message.seed, message.per_class)


def _preprocess(message: evaluation_pb2.EvaluateDatasetRequest) -> PreprocessOverride:
    wanted = message.preprocess
    return PreprocessOverride(wanted.resize, wanted.color, tuple(wanted.mean), tuple(wanted.scale))


def _request(request: EvaluationRequest) -> evaluation_pb2.EvaluateDatasetRequest:
    subset, preprocess = request.subset, request.preprocess
    return evaluation_pb2.EvaluateDatasetRequest(
        model_name=request.model_name,
        model_version=request.model_version,
        dataset=request.dataset,
        dataset_format=request.dataset_format,
        subset=evaluation_pb2.Subset(**vars(subset)),
        metrics=request.metrics,
        label_map=request.label_map,
        strict=request.strict,
        cancel_on_disconnect=request.cancel_on_disconnect,
        parameters=request.parameters,
        threshold=request.threshold,
        preprocess=evaluation_pb2.PreprocessOverride(**vars(preprocess)) if preprocess else None,
        batch=request.batch,
        progress_interval=encode_duration(request.progress_interval),
    )


def _timestamp(seconds: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(round(seconds * 1e9))
    return timestamp


def _progress(event: Progress) -> evaluation_pb2.EvaluationProgress:
    return evaluation_pb2.EvaluationProgress(
        done=event.done,
        total=event.total,
        elapsed=encode_duration(event.elapsed),
        remaining=encode_duration(event.remaining),
        images_per_second=event.images_per_second,
        metrics=map(encode_metric, event.metrics),
    )


def _class_report(report: ClassReport) -> evaluation_pb2.ClassReport:
    return evaluation_pb2.ClassReport(
        category=encode_category(report.category),
        precision=report.precision,
        recall=report.recall,
        f1=report.f1,
        support=report.support,
        metrics=map(encode_metric, report.metrics),
    )


def _confusion(confusion: Confusion) -> evaluation_pb2.Confusion:
    return evaluation_pb2.Confusion(
        annotated_class_id=confusion.annotated,
        predicted_class_id=confusion.predicted,
        count=confusion.count,
    )


def _curve(curve: Curve) -> evaluation_pb2.Curve:
    return evaluation_pb2.Curve(
        name=curve.name, label=curve.label, x=curve.x, y=curve.y, counts=curve.counts
    )


_WRITERS: Mapping[type, tuple[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        Evaluation: ("accepted", encode_evaluation),
        Progress: ("progress", _progress),
        Finished: ("report", lambda event: encode_report(event.report)),
    }
)
