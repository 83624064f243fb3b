"""Requests to optimise models, and the events of their streams."""

from pellucid.v1 import model_pb2
from pellucid_server.engine.evaluation.optimizer import DatasetOptimizeRequest
from pellucid_server.engine.optimize import OptimizeProgress
from pellucid_server.errors import InvalidInput
from pellucid_server.rpc.codec.durations import encode_duration
from pellucid_server.rpc.codec.models import OPTIMIZATIONS
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.plan import Quantization


def decode_optimization(message: model_pb2.OptimizeModelRequest) -> DatasetOptimizeRequest:
    """What to make of a model."""
    return DatasetOptimizeRequest(
        model_name=message.model_name,
        model_version=message.model_version,
        optimization=_kind(message.optimization),
        dataset=message.dataset,
        dataset_format=message.dataset_format,
        quantization=Quantization(
            preset=message.preset or Quantization.preset,
            model_type=message.model_type,
            ignored_names=tuple(message.ignored_names),
            ignored_types=tuple(message.ignored_types),
            calibration_size=message.calibration_size or Quantization.calibration_size,
            max_drop=message.max_accuracy_drop if message.HasField("max_accuracy_drop") else None,
        ),
    )


def encode_progress(event: OptimizeProgress) -> model_pb2.OptimizeProgress:
    """How far a stage is."""
    return model_pb2.OptimizeProgress(
        stage=event.stage,
        done=event.done,
        total=event.total,
        elapsed=encode_duration(event.elapsed),
        remaining=None if event.remaining is None else encode_duration(event.remaining),
    )


def _kind(value: int) -> Optimization:
    for kind, number in OPTIMIZATIONS.items():
        if number == value:
            return kind
    allowed = ", ".join(model_pb2.Optimization.keys()[1:])
    raise InvalidInput(f"say what to do: {allowed}", field="optimization")
