from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import yaml

from pellucid_server.imaging.decode import decode_image
from pellucid_server.spec import ModelSpec, Preprocess, image_layout
from pellucid_server.tasks import TaskModel, task_model
from pellucid_server.types import ANY, Array, Feeds, Image, Infer, Outputs, Port

ROOT = Path(__file__).parents[3]

Zoo = Callable[[str], tuple[TaskModel[Any, Any], Infer]]


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Image]:
    """Reads a picture of `samples`."""

    def read(name: str) -> Image:
        data = (ROOT / "samples" / name).read_bytes()
        return decode_image(data, max_pixels=10**8, field="image")

    return read


@pytest.fixture(scope="session")
def zoo() -> Zoo:
    """A model of the zoo with its task, run by OpenVINO; preprocessing is done in NumPy."""
    core = ov.Core()
    loaded: dict[str, tuple[TaskModel[Any, Any], Infer]] = {}

    def load(name: str) -> tuple[TaskModel[Any, Any], Infer]:
        if name not in loaded:
            loaded[name] = _load(core, ROOT / "models" / name)
        return loaded[name]

    return load


def _load(core: ov.Core, folder: Path) -> tuple[TaskModel[Any, Any], Infer]:
    file = next(each for each in (folder / "1").iterdir() if each.suffix in {".xml", ".onnx"})
    compiled = core.compile_model(core.read_model(file), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    spec = read_spec(folder)
    task = task_model(spec, _ports(compiled.inputs), _ports(compiled.outputs))
    pictures = {task.image.name, spec.inputs.get("style_image", "")}

    def infer(feeds: Feeds) -> Outputs:
        prepared = {
            name: preprocessed(value, spec, task.image) if name in pictures else value
            for name, value in feeds.items()
        }
        results = compiled(prepared)
        return {port.any_name: results[port].copy() for port in compiled.outputs}

    return task, infer


def read_spec(folder: Path) -> ModelSpec:
    """Reads `model.yaml` and its labels."""
    described = yaml.safe_load((folder / "model.yaml").read_text())
    if isinstance(described.get("labels"), str):
        described["labels"] = (folder / described["labels"]).read_text().splitlines()
    return ModelSpec.model_validate(described)


def preprocessed(image: Array, spec: ModelSpec, port: Port) -> Array:
    """What the served graph does to an image of 1 x height x width x 3, done in NumPy."""
    assert image.dtype == np.uint8
    assert image.shape[0] == 1
    assert image.shape[3] == 3
    preprocess: Preprocess = spec.preprocess
    values = np.asarray(image[..., ::-1] if preprocess.color == "BGR" else image, np.float32)
    mean, scale = (np.array(each, np.float32) for each in (preprocess.mean, preprocess.scale))
    values = (values - mean) / scale
    return values.transpose(0, 3, 1, 2) if image_layout(spec, port) == "NCHW" else values


def _ports(nodes: Sequence[Any]) -> tuple[Port, ...]:
    return tuple(
        Port(
            node.any_name,
            node.element_type.to_string(),
            tuple(ANY if each.is_dynamic else each.get_length() for each in node.partial_shape),
        )
        for node in nodes
    )
