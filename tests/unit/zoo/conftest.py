"""The models of the repository, read as the loader will read them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import openvino as ov
import pytest
import yaml

from pellucid_server.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[3]
MODELS = sorted(folder for folder in (ROOT / "models").iterdir() if folder.is_dir())


@dataclass(frozen=True)
class Entry:
    """A folder of models/."""

    folder: Path

    @property
    def spec(self) -> ModelSpec:
        document: dict[str, Any] = yaml.safe_load((self.folder / "model.yaml").read_text())
        labels = document.get("labels", [])
        if isinstance(labels, str):
            document["labels"] = (self.folder / labels).read_text().splitlines()
        return ModelSpec.model_validate(document)

    @property
    def file(self) -> Path:
        (file,) = (
            file for file in (self.folder / "1").iterdir() if file.suffix in {".xml", ".onnx"}
        )
        return file

    @property
    def compiled(self) -> Any:
        return _compile(self.file)

    @property
    def inputs(self) -> dict[str, ov.PartialShape]:
        return {port.get_any_name(): port.get_partial_shape() for port in self.compiled.inputs}

    @property
    def outputs(self) -> dict[str, ov.PartialShape]:
        return {port.get_any_name(): port.get_partial_shape() for port in self.compiled.outputs}


@cache
def _compile(file: Path) -> Any:
    return ov.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.fixture(params=MODELS, ids=lambda folder: folder.name)
def entry(request: pytest.FixtureRequest) -> Entry:
    """Every model in turn."""
    return Entry(request.param)


@pytest.fixture
def models() -> dict[str, Entry]:
    """All models by name."""
    return {folder.name: Entry(folder) for folder in MODELS}


@pytest.fixture
def samples() -> Path:
    """The folder of the sample photos."""
    return ROOT / "samples"
