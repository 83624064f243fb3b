"""Evaluations: settings, progress, reports and rows, as the server describes them."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from PIL import Image

from pellucid import _html
from pellucid.types import Box, Category, Size, Task

_SHOWN = len("uploads/") + 12

NOTHING = -1
"""Index of the class of what was not annotated, or not predicted."""


class EvaluationState(StrEnum):
    """How an evaluation stands."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self in {self.SUCCEEDED, self.FAILED, self.CANCELLED}


@dataclass(frozen=True)
class Subset:
    """Part of a data set: the first `size` images, or drawn with `seed`; of every class."""

    size: int = 0
    random: bool = False
    seed: int = 0
    per_class: bool = False


@dataclass(frozen=True)
class Preprocess:
    """Preprocessing to try in place of the model's own; what is empty stays.

    `resize` is stretch, letterbox or crop, `color` RGB, BGR or GRAY.
    """

    resize: str = ""
    color: str = ""
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


@dataclass(frozen=True)
class Metric:
    """A metric's value; no unit: a ratio or a number."""

    name: str
    value: float
    unit: str = ""

    def __repr__(self) -> str:
        return f"{self.name} {self.value:.4g}{self.unit and f' {self.unit}'}"


@dataclass(frozen=True)
class ClassReport:
    """What was found of one class; the category's confidence is the mean of its predictions."""

    category: Category
    precision: float
    recall: float
    f1: float
    support: int
    """Annotations of the class."""
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """How often one class was taken for another; `NOTHING` (-1) on either side."""

    annotated: int
    predicted: int
    count: int


@dataclass(frozen=True)
class Curve:
    """A curve or a histogram: places and values; of a histogram the left edges of its bins."""

    name: str
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation found; `report["top_1"]` is a metric's value."""

    metrics: tuple[Metric, ...] = ()
    classes: tuple[ClassReport, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    images: int = 0
    bad_annotations: int = 0
    curves: tuple[Curve, ...] = ()
    images_per_second: float = 0.0

    def __getitem__(self, metric: str) -> float:
        try:
            return next(each.value for each in self.metrics if each.name == metric)
        except StopIteration:
            known = ", ".join(each.name for each in self.metrics)
            raise KeyError(f"no metric {metric!r}: {known or 'there is none'}") from None

    @cached_property
    def names(self) -> Mapping[int, str]:
        """The classes' names by index."""
        return {each.category.class_id: each.category.name for each in self.classes}

    def name(self, class_id: int) -> str:
        """The name of a class of `confusions`."""
        return "nothing" if class_id == NOTHING else self.names.get(class_id, f"class {class_id}")

    def __repr__(self) -> str:
        return f"EvaluationReport({self.images} images, {', '.join(map(repr, self.metrics[:5]))})"

    def _repr_html_(self) -> str:
        rows = [(each.name, f"{each.value:.6g}", each.unit) for each in self.metrics]
        return _html.table(("metric", "value", "unit"), rows)


@dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated, and how: the request as the server understood it."""

    model: str
    version: str = ""
    dataset: str = ""
    format: str = ""
    subset: Subset | None = None
    metrics: tuple[str, ...] = ()
    label_map: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    threshold: float | None = None
    batch: int = 0
    preprocess: Preprocess | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation as it stands; `report` is there once it succeeded and was asked for."""

    name: str
    state: EvaluationState
    settings: EvaluationSettings
    task: Task = Task.UNSPECIFIED
    version: str = ""
    precision: str = ""
    total: int = 0
    done: int = 0
    create_time: datetime | None = None
    end_time: datetime | None = None
    reason: str = ""
    """Why it failed."""
    dataset_digest: str = ""
    """Equal for equal images and annotations in equal order; known once it ended."""
    report: EvaluationReport | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.settings.model

    @property
    def place(self) -> str:
        """The data set as people read it: of an upload the beginning of its name."""
        dataset = self.settings.dataset
        is_upload = dataset.startswith("uploads/") and len(dataset) > _SHOWN
        return f"{dataset[:_SHOWN]}…" if is_upload else dataset

    @property
    def seconds(self) -> float | None:
        """From its acceptance to its end; `None` before."""
        if self.create_time is None or self.end_time is None:
            return None
        return (self.end_time - self.create_time).total_seconds()

    def __repr__(self) -> str:
        return f"Evaluation({self.name}, {self.model} on {self.settings.dataset}, {self.state})"


@dataclass(frozen=True)
class EvaluationProgress:
    """How far an evaluation is; times in seconds, metrics over the images done."""

    done: int
    total: int
    elapsed: float
    remaining: float
    images_per_second: float
    metrics: tuple[Metric, ...] = ()

    @property
    def fraction(self) -> float:
        """In [0, 1]."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True)
class ExampleObject:
    """An object that was detected, in pixels; of an instance with its mask.

    `mask` is COCO's compressed run lengths, of a mask of `mask_size`.
    """

    category: Category
    box: Box
    mask: str = ""
    mask_size: Size | None = None


@dataclass(frozen=True)
class Example:
    """One row of an evaluation: what the model said of an image beside its annotation."""

    index: int
    path: str
    predicted: Category | None = None
    annotated: Category | None = None
    """With the model's confidence in it."""
    rank: int = 0
    """Place of the annotated class among the predictions, from 1; 0: there is none."""
    correct: bool | None = None
    """`None`: not annotated."""
    score: float | None = None
    """Higher is better: confidence in the annotated class, F1 of the objects, mean IoU, PSNR."""
    missed: int = 0
    extra: int = 0
    """Annotated objects that were not found, and found ones that are not annotated."""
    reason: str = ""
    """Why the annotation could not be used."""
    location: str = ""
    """The file and line of the annotation."""
    objects: tuple[ExampleObject, ...] = ()
    """What was detected, where it was asked for."""


@dataclass(frozen=True, eq=False)
class RenderedExample:
    """A row's picture: JPEG bytes; `image` opens it."""

    data: bytes = field(repr=False)
    example: Example

    @cached_property
    def image(self) -> Image.Image:
        """The picture."""
        image = Image.open(io.BytesIO(self.data))
        image.load()
        return image

    def _repr_jpeg_(self) -> bytes:
        return self.data


EvaluationEvent = Evaluation | EvaluationProgress | EvaluationReport
