"""What an optimisation is asked for, and what it tells."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.types import Feeds, Infer

FEWEST = 10
"""Items of a calibration: ranges of activations known from fewer are chance."""
PRESETS = ("performance", "mixed")
MODEL_TYPES = ("", "transformer")


@dataclass(frozen=True)
class Quantization:
    """How a model is quantised, in NNCF's terms."""

    preset: str = "performance"
    """`mixed` quantises activations asymmetrically, which keeps the accuracy of more models."""
    model_type: str = ""
    """`transformer` for models of attention."""
    ignored_names: tuple[str, ...] = ()
    """Layers that stay as they are, by name."""
    ignored_types: tuple[str, ...] = ()
    """Operations that stay as they are: `MatMul`."""
    calibration_size: int = 300
    """Items to calibrate with, at most."""
    fast_bias_correction: bool = True
    """False: slower, and more accurate for some models."""
    max_drop: float | None = None
    """The greatest loss of the judge's metric; None: it is not looked at."""

    def __post_init__(self) -> None:
        """Raises InvalidInput, by the names of the request's fields."""
        _require_known("preset", self.preset, PRESETS)
        _require_known("model_type", self.model_type, MODEL_TYPES)
        if self.calibration_size < FEWEST:
            raise InvalidInput(
                f"calibration_size is {self.calibration_size}: at least {FEWEST} images are "
                "needed, and 300 are usual",
                field="calibration_size",
            )
        if self.max_drop is not None and not 0 <= self.max_drop < math.inf:
            raise InvalidInput(
                f"max_accuracy_drop is {self.max_drop}: give a number from 0 on, in the metric's "
                "unit",
                field="max_accuracy_drop",
            )


def _require_known(field_name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InvalidInput(
            f"there is no {field_name} {value!r}.{nearest(value, known)}", field=field_name
        )


@dataclass(frozen=True)
class Verdict:
    """How well a model does: the higher, the better.

    `scores` has one for each item, where the metric is made of such; without them NNCF asks
    for the metric of every item alone.
    """

    metric: float
    scores: tuple[float, ...] = ()


Judge = Callable[[Infer, Sequence[int]], Verdict]
"""Judges a model, run by `Infer` on what `OF_IMAGE` takes, over the items of these indices."""


@dataclass(frozen=True)
class Plan:
    """What to make of a model."""

    optimization: Optimization
    quantization: Quantization = field(default_factory=Quantization)
    calibration: Callable[[], Iterator[Feeds]] = lambda: iter(())
    """Feeds from the first on, at each call: as `OF_IMAGE` takes them, or the model as it is."""
    judge: Judge | None = None
    """Needed where a drop is limited."""
    judged: int = 0
    """Items that there are to judge with."""

    def __post_init__(self) -> None:
        """Raises InvalidInput where a limit has nothing to be checked with."""
        if self.optimization is Optimization.INT8 and self.quantization.max_drop is not None:
            self._require_judge()

    def _require_judge(self) -> None:
        if self.judge is None:
            raise InvalidInput(
                "max_accuracy_drop needs a calibration set with annotations", field="dataset"
            )
        if self.judged < FEWEST:
            raise InvalidInput(
                f"max_accuracy_drop needs at least {FEWEST} annotated images; the calibration set "
                f"has {self.judged}",
                field="dataset",
            )


class Stage(StrEnum):
    """What an optimisation does."""

    CALIBRATE = "calibrate"
    QUANTISE = "quantise"
    VALIDATE = "validate"
    RESTORE_ACCURACY = "restore accuracy"
    SAVE = "save"


@dataclass(frozen=True)
class Progress:
    """How far a stage is; `total` 0: nobody knows how much it will be."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Made:
    """The new version."""

    version: int
