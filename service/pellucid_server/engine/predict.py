from collections.abc import Sequence
from dataclasses import dataclass

from pellucid_server.types import Array, Size, Source, TaskParameters, TaskResult, Timing


@dataclass(frozen=True)
class PredictRequest:
    """What to predict; no parameters: the task's defaults; no version: the default one."""

    model_name: str
    inputs: Sequence[Source]
    model_version: str = ""
    parameters: TaskParameters | None = None
    raw_outputs: bool = False


@dataclass(frozen=True)
class Prediction:
    """What a model says of one input; no size where the input was tensors."""

    input_size: Size | None
    result: TaskResult | None
    raw_outputs: dict[str, Array]
    timing: Timing


@dataclass(frozen=True)
class PredictResponse:
    """Predictions in the order of the inputs."""

    model_name: str
    model_version: str
    predictions: tuple[Prediction, ...]
