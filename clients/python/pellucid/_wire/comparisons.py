"""Comparisons, read from the contract."""

from collections.abc import Mapping
from math import isfinite

from pellucid._wire import common
from pellucid.comparisons import ComparedModel, Comparison, Flip, MapCorrelation, MetricDelta
from pellucid.types import Category
from pellucid.v1 import common_pb2
from pellucid.v1 import evaluation_pb2 as pb

CHANGES: Mapping[int, str] = {
    pb.FLIP_KIND_BECAME_WRONG: "became wrong",
    pb.FLIP_KIND_BECAME_RIGHT: "became right",
}


def comparison(message: pb.CompareEvaluationsResponse) -> Comparison:
    """A comparison."""
    shift = message.confidence_shift if message.HasField("confidence_shift") else None
    return Comparison(
        baseline=_model(message.baseline),
        candidate=_model(message.candidate),
        deltas=tuple(map(_delta, message.deltas)),
        images=message.images,
        became_wrong=message.became_wrong,
        became_right=message.became_right,
        disagreements=message.disagreements,
        flips=tuple(map(_flip, message.flips)),
        only_baseline=message.only_baseline,
        only_candidate=message.only_candidate,
        changed_images=message.differing_digests,
        confidence_shift=_delta(shift) if shift else None,
        map_correlations=tuple(map(_correlation, message.map_correlations)),
    )


def _model(message: pb.ComparedModel) -> ComparedModel:
    return ComparedModel(
        message.model_name,
        message.model_version,
        message.precision,
        message.size_bytes,
        common.seconds(message.inference_time),
    )


def _delta(message: pb.MetricDelta) -> MetricDelta:
    known = isfinite(message.low) and isfinite(message.high)
    return MetricDelta(
        name=message.name,
        baseline=message.baseline,
        candidate=message.candidate,
        delta=message.delta,
        low=message.low if known else None,
        high=message.high if known else None,
        unit=message.unit,
    )


def _flip(message: pb.Flip) -> Flip:
    return Flip(
        index=message.index,
        path=message.path,
        baseline=_category(message.baseline, known=message.HasField("baseline")),
        candidate=_category(message.candidate, known=message.HasField("candidate")),
        annotated=_category(message.annotated, known=message.HasField("annotated")),
        change=CHANGES.get(message.kind, "changed"),
    )


def _category(message: common_pb2.Category, *, known: bool) -> Category | None:
    return common.category(message) if known else None


def _correlation(message: pb.MapCorrelation) -> MapCorrelation:
    return MapCorrelation(
        message.index, message.path, common.category(message.category), message.correlation
    )
