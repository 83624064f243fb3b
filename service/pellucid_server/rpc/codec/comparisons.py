"""Comparisons of evaluations."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from pellucid.v1 import evaluation_pb2
from pellucid_server.engine.evaluation.comparer import (
    Compared,
    ComparedModel,
    CompareRequest,
    MapCorrelation,
)
from pellucid_server.evaluate.compare import Change, Delta, Flip, Settings
from pellucid_server.rpc.codec.durations import encode_duration
from pellucid_server.rpc.codec.geometry import encode_category
from pellucid_server.types import Category

CHANGES: Mapping[Change, "evaluation_pb2.FlipKind.ValueType"] = MappingProxyType(
    {change: evaluation_pb2.FlipKind.Value(f"FLIP_KIND_{change.name}") for change in Change}
)


def decode_comparison(message: evaluation_pb2.CompareEvaluationsRequest) -> CompareRequest:
    """What to compare."""
    settings = Settings(
        resamples=message.resamples or Settings.resamples, flips=message.flips or Settings.flips
    )
    return CompareRequest(message.baseline, message.candidate, settings, message.explained_images)


def encode_comparison(compared: Compared) -> evaluation_pb2.CompareEvaluationsResponse:
    """What a comparison found."""
    found = compared.comparison
    return evaluation_pb2.CompareEvaluationsResponse(
        deltas=map(_delta, found.deltas),
        became_wrong=found.became_wrong,
        became_right=found.became_right,
        images=found.images,
        disagreements=found.disagreements,
        flips=map(_flip, found.flips),
        confidence_shift=_delta(found.confidence_shift) if found.confidence_shift else None,
        baseline=_model(compared.baseline),
        candidate=_model(compared.candidate),
        map_correlations=map(_correlation, compared.map_correlations),
        only_baseline=found.only_baseline,
        only_candidate=found.only_candidate,
        differing_digests=found.differing_digests,
        shift_images=found.shift_images,
    )


def _delta(delta: Delta) -> evaluation_pb2.MetricDelta:
    return evaluation_pb2.MetricDelta(
        name=delta.name,
        delta=delta.delta,
        low=delta.low,
        high=delta.high,
        baseline=delta.baseline,
        candidate=delta.candidate,
        unit=delta.unit,
    )


def _flip(flip: Flip) -> evaluation_pb2.Flip:
    message = evaluation_pb2.Flip(path=flip.path, index=flip.index, kind=CHANGES[flip.change])
    sides: dict[str, Category | None] = {
        "baseline": flip.baseline, "candidate": flip.candidate, "annotated": flip.annotated,
    }  # fmt: skip
    for name, category in sides.items():
        if category is not None:
            getattr(message, name).CopyFrom(encode_category(category))
    return message


def _model(model: ComparedModel) -> evaluation_pb2.ComparedModel:
    seconds = model.inference_seconds
    return evaluation_pb2.ComparedModel(
        model_name=model.evaluation.model_name,
        model_version=model.evaluation.model_version,
        precision=model.evaluation.precision,
        size_bytes=model.size_bytes,
        inference_time=None if math.isnan(seconds) else encode_duration(seconds),
    )


def _correlation(found: MapCorrelation) -> evaluation_pb2.MapCorrelation:
    return evaluation_pb2.MapCorrelation(
        path=found.path,
        index=found.index,
        category=encode_category(found.category),
        correlation=found.correlation,
    )
