"""Where in a version's folder the model is, and in which format."""

from dataclasses import dataclass
from pathlib import Path

from pellucid_server.errors import ModelUnavailable


@dataclass(frozen=True)
class Format:
    """A row: files that match `pattern` are models of the format, or mark a folder as one."""

    pattern: str
    name: str
    is_folder: bool = False


@dataclass(frozen=True)
class ModelFile:
    """What to read."""

    path: Path
    format: str


FORMATS: tuple[Format, ...] = (
    Format("*.xml", "openvino"),
    Format("*.onnx", "onnx"),
    Format("*.tflite", "tflite"),
    Format("saved_model.pb", "tensorflow", is_folder=True),
    Format("*.savedmodel/saved_model.pb", "tensorflow", is_folder=True),
    Format("model.pb", "tensorflow"),
    Format("*.pdmodel", "paddle"),
)

LISTED = 5


def find_model(folder: Path) -> ModelFile:
    """The model in a version's folder: the only one, or the one that is named `model`.

    Raises:
        ModelUnavailable: there is none, or it is ambiguous.
    """
    found = [
        ModelFile(match.parent if row.is_folder else match, row.name)
        for row in FORMATS
        for match in sorted(folder.glob(row.pattern))
    ]
    named = [model for model in found if model.path.stem == "model"]
    chosen = found if len(found) == 1 else named
    if len(chosen) == 1:
        return chosen[0]
    if found:
        names = ", ".join(model.path.name for model in found)
        raise ModelUnavailable(f"several models in one folder: {names}; keep one")
    raise ModelUnavailable(_nothing_found(folder))


def _nothing_found(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if {".json", ".pdiparams"} <= {Path(name).suffix for name in names}:
        return (
            "OpenVINO does not read PaddlePaddle's .json programs; export a .pdmodel "
            "(FLAGS_enable_pir_api=0)"
        )
    patterns = ", ".join(row.pattern for row in FORMATS)
    there = ", ".join(names[:LISTED]) or "nothing"
    return f"no model file (one of {patterns}); there is {there}"
