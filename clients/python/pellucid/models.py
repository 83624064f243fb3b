"""Models and methods, as the server describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pellucid.types import ParameterValue, Task


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model; -1 in the shape: any extent."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer whose activations can be explained."""

    name: str
    operation: str
    shape: tuple[int, ...]
    default: bool = False


@dataclass(frozen=True)
class Lineage:
    """Where an optimised version comes from; `optimization` is int8 or fp16."""

    parent_version: str
    optimization: str
    settings: Mapping[str, str]
    dataset_digest: str = ""
    create_time: datetime | None = None


@dataclass(frozen=True)
class OptimizationProgress:
    """How far an optimisation is; times in seconds."""

    stage: str
    done: int
    total: int
    elapsed: float
    remaining: float

    @property
    def fraction(self) -> float:
        """In [0, 1], of the stage."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model; `state` is loading, ready, failed or unloaded."""

    version: str
    state: str
    reason: str
    format: str
    device: str
    precision: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[Layer, ...]
    load_time: datetime | None = None
    size_bytes: int = 0
    lineage: Lineage | None = None

    def __repr__(self) -> str:
        return f"ModelVersion({self.version}, {self.state})"


@dataclass(frozen=True)
class Model:
    """A model of the server's repository; versions newest first."""

    name: str
    aliases: tuple[str, ...]
    task: Task
    description: str
    default_version: str
    versions: tuple[ModelVersion, ...]
    labels: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether some version is served."""
        return any(each.state == "ready" for each in self.versions)

    def __repr__(self) -> str:
        return f"Model({self.name}, {self.task.value}, {'ready' if self.ready else 'not ready'})"


@dataclass(frozen=True)
class MethodParameter:
    """A parameter of a method; `type` is bool, int, float or string."""

    name: str
    description: str
    type: str
    default: ParameterValue | None
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """A method of explanation, with the tasks and models it serves."""

    name: str
    description: str
    reference: str
    parameters: tuple[MethodParameter, ...]
    tasks: tuple[Task, ...]
    models: tuple[str, ...]

    @property
    def defaults(self) -> Mapping[str, ParameterValue | None]:
        """The parameters' values where none are given."""
        return {each.name: each.default for each in self.parameters}

    def __repr__(self) -> str:
        return f"Method({self.name}: {self.description})"
