"""What an evaluation is asked for, and what it tells while it runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from json import dumps

from pydantic import TypeAdapter

from pellucid_server.evaluate.report import Metric, Report
from pellucid_server.evaluate.store import Evaluation
from pellucid_server.evaluate.subset import Subset


@dataclass(frozen=True)
class PreprocessOverride:
    """What to use in place of the model's own preprocessing; empty: the model's."""

    resize: str = ""
    color: str = ""
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate; it is stored, so that any server can go on with it."""

    model_name: str
    dataset: str
    model_version: str = ""
    dataset_format: str = ""
    subset: Subset = field(default_factory=Subset)
    metrics: tuple[str, ...] = ()
    label_map: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    cancel_on_disconnect: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    preprocess: PreprocessOverride | None = None
    batch: int = 0
    """Images of one inference; 0: the planner chooses."""
    progress_interval: float = 0.25
    trace: str = ""
    """The span of the call that asked for it, as a W3C traceparent; "": none."""

    def to_json(self) -> str:
        """All of it, for the store."""
        return dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "EvaluationRequest":
        """The request that `to_json` wrote."""
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(EvaluationRequest)


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is. Seconds; the rate is that of the server where it runs now."""

    done: int
    total: int
    elapsed: float
    remaining: float
    images_per_second: float
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Finished:
    """The end of an evaluation that succeeded."""

    evaluation: Evaluation
    report: Report


EvaluationEvent = Evaluation | Progress | Finished
