"""Flags of `predict`, to the parameters of the model's task."""

from collections.abc import Mapping
from typing import Any

import typer

from pellucid.types import Task

_OBJECTS = (Task.DETECTION, Task.INSTANCE_SEGMENTATION)

PARAMETERS: Mapping[str, Mapping[Task, str]] = {
    "--top-k": {Task.CLASSIFICATION: "top_k"} | dict.fromkeys(_OBJECTS, "max_detections"),
    "--threshold": {
        Task.CLASSIFICATION: "min_confidence",
        Task.SEMANTIC_SEGMENTATION: "threshold",
    }
    | dict.fromkeys(_OBJECTS, "confidence_threshold"),
    "--iou": dict.fromkeys(_OBJECTS, "iou_threshold"),
    "--label": dict.fromkeys(_OBJECTS, "labels"),
    "--style": {Task.STYLE_TRANSFER: "style_index"},
    "--style-image": {Task.STYLE_TRANSFER: "style_image"},
    "--hole": {Task.INPAINTING: "rectangles"},
    "--mask": {Task.INPAINTING: "mask"},
    "--tile-size": {Task.SUPER_RESOLUTION: "tile_size"},
}
"""What each flag means for the tasks that take it."""


def parameters_of(given: Mapping[str, Any], model: str, task: Task) -> dict[str, Any]:
    """The task's parameters of the flags that were given.

    Raises:
        typer.BadParameter: a flag that the task does not take.
    """
    parameters = {}
    for flag, value in given.items():
        if value is None or value == []:
            continue
        if task not in PARAMETERS[flag]:
            takes = ", ".join(each for each in given if task in PARAMETERS[each])
            raise typer.BadParameter(
                f"not for {model}: {task.words} takes {takes or 'no options'}", param_hint=flag
            )
        parameters[PARAMETERS[flag][task]] = value
    return parameters


def rectangle(text: str) -> tuple[float, float, float, float]:
    """A rectangle of `x_min,y_min,x_max,y_max` in pixels.

    Raises:
        typer.BadParameter: not four numbers.
    """
    try:
        x_min, y_min, x_max, y_max = map(float, text.split(","))
    except ValueError:
        message = f"{text!r} is not four pixels: x_min,y_min,x_max,y_max"
        raise typer.BadParameter(message) from None
    return x_min, y_min, x_max, y_max


def value(text: str) -> bool | int | float | str:
    """A parameter's value: true or false, a whole number, a number, or a text."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def assignment(text: str) -> tuple[str, bool | int | float | str]:
    """A parameter of `name=value`.

    Raises:
        typer.BadParameter: no name or no `=`.
    """
    name, equals, rest = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not name=value", param_hint="--param")
    return name, value(rest)
