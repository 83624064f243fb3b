"""Enumerations of the contract as those of the domain."""

from collections.abc import Mapping
from types import MappingProxyType

from pellucid.v1 import common_pb2, model_pb2
from pellucid_server.errors import InvalidInput
from pellucid_server.runtime.repository import ModelState
from pellucid_server.types import PictureFormat, Task

TASKS: Mapping[Task, "common_pb2.Task.ValueType"] = MappingProxyType(
    {task: common_pb2.Task.Value(f"TASK_{task.name}") for task in Task}
)
STATES: Mapping[ModelState, "model_pb2.ModelState.ValueType"] = MappingProxyType(
    {state: model_pb2.ModelState.Value(f"MODEL_STATE_{state.name}") for state in ModelState}
)
_FORMATS: Mapping[int, PictureFormat] = MappingProxyType(
    {
        common_pb2.PICTURE_FORMAT_UNSPECIFIED: PictureFormat.PNG,
        common_pb2.PICTURE_FORMAT_PNG: PictureFormat.PNG,
        common_pb2.PICTURE_FORMAT_JPEG: PictureFormat.JPEG,
    }
)
MEDIA_TYPES: Mapping[PictureFormat, str] = MappingProxyType(
    {PictureFormat.PNG: "image/png", PictureFormat.JPEG: "image/jpeg"}
)


def decode_format(value: int, field: str) -> PictureFormat:
    """How to encode pictures; PNG where nothing is said."""
    if value not in _FORMATS:
        allowed = ", ".join(common_pb2.PictureFormat.keys()[1:])
        raise InvalidInput(f"{value} is no picture format: use {allowed}", field=field)
    return _FORMATS[value]


def decode_task(value: int, field: str) -> Task | None:
    """A task; None where nothing is said."""
    if value == common_pb2.TASK_UNSPECIFIED:
        return None
    for task, number in TASKS.items():
        if number == value:
            return task
    allowed = ", ".join(common_pb2.Task.keys()[1:])
    raise InvalidInput(f"{value} is no task: use {allowed}", field=field)
