"""Values that predictions, explanations and models share, read from the contract."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration

from pellucid.errors import InvalidArgumentError
from pellucid.types import Box, Category, ParameterValue, Size, Task
from pellucid.v1 import common_pb2 as pb


def size(message: pb.ImageSize) -> Size:
    """Width and height."""
    return Size(message.width, message.height)


def box(message: pb.Box) -> Box:
    """A rectangle."""
    return Box(message.x_min, message.y_min, message.x_max, message.y_max)


def category(message: pb.Category) -> Category:
    """A class with its confidence."""
    return Category(message.class_id, message.label, message.confidence)


def seconds(message: Duration) -> float:
    """A duration in seconds."""
    return message.seconds + message.nanos * 1e-9


def when(message: Any, field: str) -> datetime | None:
    """A time of a message in UTC, `None` where it is not set."""
    return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None


def task(number: int) -> Task:
    """A task; one of a newer contract is unspecified."""
    names: Mapping[int, str] = dict(zip(pb.Task.values(), pb.Task.keys(), strict=True))
    name = names.get(number, "TASK_UNSPECIFIED")
    return Task(name.removeprefix("TASK_").lower())


def choice(kind: Any, number: int, prefix: str) -> str:
    """The name of an enumeration's value, lower case; one of a newer contract is unspecified."""
    names: Mapping[int, str] = dict(zip(kind.values(), kind.keys(), strict=True))
    return names.get(number, f"{prefix}UNSPECIFIED").removeprefix(prefix).lower()


def values(message: Mapping[str, pb.ParameterValue]) -> dict[str, ParameterValue]:
    """Parameters by name; a value that is unset is left out."""
    read = {name: value(each) for name, each in message.items()}
    return {name: each for name, each in read.items() if each is not None}


def value(message: pb.ParameterValue) -> ParameterValue | None:
    """A parameter's value, `None` where it has none."""
    kind = message.WhichOneof("value")
    found: ParameterValue | None = getattr(message, kind) if kind else None
    return found


def to_value(name: str, given: object) -> pb.ParameterValue:
    """A parameter's value for the wire; NumPy scalars count as Python's.

    Raises:
        InvalidArgumentError: neither bool, int, float nor str.
    """
    given = given.item() if isinstance(given, np.generic) else given
    match given:
        case bool():
            return pb.ParameterValue(bool_value=given)
        case int() if -(2**63) <= given < 2**63:
            return pb.ParameterValue(int_value=given)
        case float():
            return pb.ParameterValue(double_value=given)
        case str():
            return pb.ParameterValue(string_value=given)
    raise InvalidArgumentError(
        f"parameter {name!r} is bool, int (64 bits), float or str, not {given!r}",
        field=f"parameters[{name}]",
    )


def picture_format(name: str) -> pb.PictureFormat.ValueType:
    """A picture's format by name.

    Raises:
        InvalidArgumentError: neither png nor jpeg.
    """
    formats = {
        "png": pb.PICTURE_FORMAT_PNG,
        "jpeg": pb.PICTURE_FORMAT_JPEG,
        "jpg": pb.PICTURE_FORMAT_JPEG,
    }
    if name.lower() not in formats:
        raise InvalidArgumentError(f"format is png or jpeg, not {name!r}", field="format")
    return formats[name.lower()]
