"""Optimisations: requests out of what callers pass, events out of responses."""

from collections.abc import Sequence
from os import fspath
from typing import TypedDict

from pellucid._wire import catalog, common
from pellucid._wire.evaluations import Place
from pellucid.errors import InvalidArgumentError
from pellucid.models import ModelVersion, OptimizationProgress
from pellucid.v1 import model_pb2 as pb

KINDS = ("int8", "fp16")


class OptimizeOptions(TypedDict, total=False):
    """Keywords of `optimize`."""

    version: str
    format: str
    max_accuracy_drop: float | None
    calibration_size: int
    preset: str
    model_type: str
    ignored_names: Sequence[str]
    ignored_types: Sequence[str]


def optimize_request(
    model: str,
    kind: str,
    dataset: Place,
    *,
    version: str = "",
    format: str = "",  # noqa: A002 - the keyword's name
    max_accuracy_drop: float | None = None,
    calibration_size: int = 0,
    preset: str = "",
    model_type: str = "",
    ignored_names: Sequence[str] = (),
    ignored_types: Sequence[str] = (),
) -> pb.OptimizeModelRequest:
    """The request of an optimisation.

    Raises:
        InvalidArgumentError: a kind that there is not; TypeError: a keyword.
    """
    if kind not in KINDS:
        raise InvalidArgumentError(f"kind is {' or '.join(KINDS)}, not {kind!r}", field="kind")
    return pb.OptimizeModelRequest(
        model_name=model,
        model_version=version,
        optimization=pb.Optimization.Value(f"OPTIMIZATION_{kind.upper()}"),
        dataset=fspath(dataset),
        dataset_format=format,
        max_accuracy_drop=max_accuracy_drop,
        calibration_size=calibration_size,
        preset=preset,
        model_type=model_type,
        ignored_names=ignored_names,
        ignored_types=ignored_types,
    )


def event(message: pb.OptimizeModelResponse) -> OptimizationProgress | ModelVersion | None:
    """An event of a stream; `None` for one of a newer contract."""
    match message.WhichOneof("event"):
        case "progress":
            return _progress(message.progress)
        case "result":
            return catalog.version(message.result)
    return None


def _progress(message: pb.OptimizeProgress) -> OptimizationProgress:
    return OptimizationProgress(
        stage=message.stage,
        done=message.done,
        total=message.total,
        elapsed=common.seconds(message.elapsed),
        remaining=common.seconds(message.remaining),
    )
