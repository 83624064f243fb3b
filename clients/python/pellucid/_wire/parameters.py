"""Keyword arguments of predictions, to the parameters of the model's task.

The names are read from the contract's messages, so that a parameter added there works
here; `_WRITERS` holds the few whose values are written otherwise than as they are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral
from typing import Any, TypedDict

import numpy as np
from google.protobuf.descriptor import Descriptor

from pellucid._wire import common
from pellucid._wire.inputs import to_input
from pellucid.errors import InvalidArgumentError
from pellucid.types import ImageLike, Task
from pellucid.v1 import inference_pb2 as pb

Rectangle = Sequence[float]
Writer = Callable[[Any, str, Any], None]


class TaskParameters(TypedDict, total=False):
    """Parameters of predictions; each task takes its own, see `docs/client.md`."""

    top_k: int
    min_confidence: float
    confidence_threshold: float
    iou_threshold: float
    max_detections: int
    labels: str | Sequence[str]
    mask_threshold: float
    threshold: float
    probabilities: bool
    tile_size: int
    tile_overlap: int
    style: int | Sequence[float] | ImageLike
    style_index: int
    style_weights: Sequence[float]
    style_image: ImageLike
    rectangles: Sequence[Rectangle]
    mask: ImageLike
    format: str


def _paths(descriptor: Descriptor, prefix: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Path of every parameter in a task's message; those of a message within are its own."""
    paths: dict[str, tuple[str, ...]] = {}
    for field in descriptor.fields:
        inner = field.message_type
        if inner is not None and inner.name.endswith("Parameters"):
            paths |= _paths(inner, (*prefix, field.name))
        else:
            paths[field.name] = (*prefix, field.name)
    return paths


PATHS: Mapping[Task, Mapping[str, tuple[str, ...]]] = {
    Task(field.name): _paths(field.message_type)
    for field in pb.PredictRequest.DESCRIPTOR.oneofs_by_name["parameters"].fields
    if field.message_type is not None
}
"""For every task its parameters: name to path within the task's message."""


@dataclass(frozen=True)
class Parameters:
    """The keyword arguments of a prediction, none of which is unknown to all tasks."""

    given: Mapping[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Parameters":
        """The arguments that are not `None`.

        Raises:
            TypeError: a name that no task takes.
        """
        known = sorted({name for paths in PATHS.values() for name in paths} | {"style"})
        for name in given:
            if name not in known:
                raise TypeError(f"unknown parameter {name!r}{_nearest(name, known)}")
        values = {name: value for name, value in given.items() if value is not None}
        if "style" in values:
            style = values.pop("style")
            values[_style_name(style)] = style
        return cls(values)

    @property
    def task(self) -> Task | None:
        """The only task that takes these parameters; `None` where several or all do.

        Raises:
            TypeError: no task takes them together.
        """
        found = [task for task, paths in PATHS.items() if self.given.keys() <= paths.keys()]
        if not found:
            owners = [f"{name} ({', '.join(_owners(name))})" for name in self.given]
            raise TypeError(f"no task takes these parameters together: {', '.join(owners)}")
        return found[0] if len(found) == 1 else None

    def write(self, request: pb.PredictRequest, task: Task) -> None:
        """Sets the parameters of a task.

        Raises:
            TypeError: the task does not take one of them.
            InvalidArgumentError: a value that is wrong.
        """
        paths = PATHS.get(task, {})
        for name, value in self.given.items():
            if name not in paths:
                takes = ", ".join(paths) or "no parameters"
                raise TypeError(
                    f"{request.model_name} does {task}, which takes {takes}, not {name}"
                )
            message: Any = getattr(request, task.value)
            for step in paths[name][:-1]:
                message = getattr(message, step)
            _write(message, name, value)


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _owners(name: str) -> list[str]:
    return [task.value for task, paths in PATHS.items() if name in paths]


def _style_name(style: object) -> str:
    if isinstance(style, Integral):
        return "style_index"
    vector = isinstance(style, np.ndarray) and style.ndim == 1
    return "style_weights" if vector or isinstance(style, list | tuple) else "style_image"


def _write(message: Any, name: str, value: Any) -> None:
    writer: Writer = _WRITERS.get(name, setattr)
    try:
        writer(message, name, value)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(f"{name} cannot be {value!r}: {error}", field=name) from error


def _labels(message: Any, name: str, value: str | Sequence[str]) -> None:
    getattr(message, name).extend([value] if isinstance(value, str) else value)


def _image(message: Any, name: str, value: ImageLike) -> None:
    getattr(message, name).CopyFrom(to_input(value))


def _weights(message: Any, name: str, value: Sequence[float]) -> None:
    getattr(message, name).weights.extend(value)


def _rectangles(message: Any, name: str, value: Sequence[Rectangle]) -> None:
    for x_min, y_min, x_max, y_max in value:
        getattr(message, name).add(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)


def _format(message: Any, name: str, value: str) -> None:
    setattr(message, name, common.picture_format(value))


_WRITERS: Mapping[str, Writer] = {
    "labels": _labels,
    "style_image": _image,
    "mask": _image,
    "style_weights": _weights,
    "rectangles": _rectangles,
    "format": _format,
}
