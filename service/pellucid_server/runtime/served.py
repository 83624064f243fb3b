from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import openvino as ov

from pellucid_server.spec import ModelSpec
from pellucid_server.types import Layer, Port


class Subject(NamedTuple):
    """A version of a model as its files are: who replaces them has another one."""

    name: str
    version: int
    files: str
    """Of their names, sizes and times of change."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version of a model that was read and can be served; identity is equality."""

    name: str
    version: int
    spec: ModelSpec
    format: str
    """`openvino`, `onnx`, `tflite`, `tensorflow` or `paddle`."""
    path: Path
    graph: ov.Model
    """As the file has it: nobody changes it, variants are made from clones."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Layer, ...]
    load_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    files: str = ""
    """As the subject has it."""

    @cached_property
    def subject(self) -> Subject:
        """What is remembered of it where it crashes or hangs."""
        return Subject(self.name, self.version, self.files)
