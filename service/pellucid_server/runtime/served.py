from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import openvino as ov

from pellucid_server.spec import ModelSpec
from pellucid_server.types import Layer, Port


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
