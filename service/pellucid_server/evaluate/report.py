"""What an evaluation finds: rows of images, and the report over them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pellucid_server.types import Category

NOTHING = -1
"""Index of the class of what was not annotated, or not predicted."""


@dataclass(frozen=True)
class Row:
    """What a model said of one image beside what its annotation says. All of it is stored."""

    index: int
    """Place in the data set, from 0."""
    path: str
    digest: str = ""
    """Of the image's bytes and its annotation, as hexadecimal digits."""
    location: str = ""
    """File and line of the annotation."""
    predicted: Category | None = None
    annotated: Category | None = None
    """With the model's confidence in it; its `class_id` is the model's."""
    rank: int = 0
    """Place of the annotated class among the predictions, from 1; 0: there is none."""
    correct: bool | None = None
    """None: not annotated, or the task knows better and worse alone."""
    score: float | None = None
    """The higher the better: confidence in the annotated class, F1, mean IoU, PSNR."""
    missed: int = 0
    extra: int = 0
    """Annotated objects that were not found, and found ones that are not annotated."""
    detail: Mapping[str, object] = field(default_factory=dict)
    """What the metrics of the task need beside: values that JSON has."""
    seconds: float = 0.0
    """Of inference."""
    reason: str = ""
    """Why the annotation could not be used; the row then counts as bad, and nothing else."""


@dataclass(frozen=True)
class Metric:
    """A metric's value; no unit: a ratio."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True)
class ClassReport:
    """What was found of one class; the confidence is the mean one of its predictions."""

    category: Category
    precision: float
    recall: float
    f1: float
    support: int
    """Annotations of the class: images, objects or pixels."""
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """How often one class was taken for another; `NOTHING` on either side."""

    annotated: int
    predicted: int
    count: int


@dataclass(frozen=True)
class Curve:
    """Places and values; of a histogram the left edges of its bins."""

    name: str
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Report:
    """What an evaluation found."""

    metrics: tuple[Metric, ...]
    classes: tuple[ClassReport, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    """Of the pairs that occurred, by annotated class, then predicted class."""
    curves: tuple[Curve, ...] = ()
    images: int = 0
    bad_annotations: int = 0
    images_per_second: float = 0.0
