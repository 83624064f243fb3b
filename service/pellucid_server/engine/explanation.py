"""What an explanation is asked for, and the events that it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain import ParameterInfo, ParameterValue
from pellucid_server.tasks.objectives import Target
from pellucid_server.types import (
    Box,
    Category,
    Image,
    PictureFormat,
    Size,
    Source,
    Task,
    TaskParameters,
)


@dataclass(frozen=True)
class OverlayOptions:
    """How to draw a map over its image."""

    color_map: str = "inferno"
    opacity: float = 0.6
    legend: bool = True
    format: PictureFormat = PictureFormat.PNG


@dataclass(frozen=True)
class ExplainRequest:
    """What to explain.

    A target is a class's index or label, or whatever else `Target` can name; none: the `top_k`
    first. Without `task_parameters` the task has its defaults.
    """

    model_name: str
    input: Source
    model_version: str = ""
    targets: tuple[int | str | Target, ...] = ()
    top_k: int = 1
    method: str = "rise"
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    progress_interval: float = 0.25
    partial_map_interval: float | None = None
    overlay: OverlayOptions | None = None
    task_parameters: TaskParameters | None = None


@dataclass(frozen=True)
class SaliencyMap:
    """A map of height x width float32, and the rectangle of the image that it covers."""

    values: NDArray[np.float32]
    region: Box
    standard_errors: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Convergence:
    """How well a map is known: correlation with its limit, mean standard error (RMS)."""

    correlation: float
    standard_error: float


@dataclass(frozen=True)
class ExplainAccepted:
    """What will be done."""

    model_name: str
    model_version: str
    method: str
    parameters: Mapping[str, ParameterValue]
    targets: tuple[Category, ...]
    total: int
    map_size: Size
    input_size: Size
    boxes: tuple[Box | None, ...] = ()
    """Where each target is, where it has a place."""


@dataclass(frozen=True)
class ExplainProgress:
    """How far it is; times in seconds; maps only where asked for."""

    done: int
    total: int
    elapsed: float
    remaining: float
    units_per_second: float
    partial_maps: tuple[SaliencyMap, ...] = ()
    convergence: tuple[Convergence, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """The map of one target and all it takes to repeat it; the overlay is drawn pixels."""

    target: Category
    saliency_map: SaliencyMap
    overlay: Image | None
    overlay_format: PictureFormat
    model_name: str
    model_version: str
    method: str
    parameters: Mapping[str, ParameterValue]
    evaluations: int
    precision: str
    elapsed: float
    convergence: Convergence | None = None
    box: Box | None = None
    """Where the target is, where it has a place."""


ExplainEvent = ExplainAccepted | ExplainProgress | Explanation


@dataclass(frozen=True)
class MethodInfo:
    """A method of explanation, and which tasks and loaded models it serves."""

    name: str
    description: str
    reference: str
    parameters: tuple[ParameterInfo, ...]
    tasks: tuple[Task, ...]
    model_names: tuple[str, ...]
