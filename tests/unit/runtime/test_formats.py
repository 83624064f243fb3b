import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.formats import find_model
from pellucid_server.runtime.loader import Loader
from pellucid_server.spec import ModelSpec
from pellucid_server.types import Task

RAW = ModelSpec(task=Task.RAW)
TENSORFLOW = [5.7495894, 5.958568]
PADDLE = [3.5743635, 9.2166977]


@pytest.mark.parametrize(
    ("source", "format_name", "shape", "expected"),
    [
        ("tflite", "tflite", (1, 8, 8, 3), TENSORFLOW),
        ("tensorflow/saved_model", "tensorflow", (1, 8, 8, 3), TENSORFLOW),
        ("tensorflow/frozen", "tensorflow", (1, 8, 8, 3), TENSORFLOW),
        ("paddle", "paddle", (1, 3, 8, 8), PADDLE),
    ],
)
def test_files_of_other_frameworks_give_their_scores(
    data: Path,
    tmp_path: Path,
    source: str,
    format_name: str,
    shape: tuple[int, ...],
    expected: list[float],
) -> None:
    """Read from a copy that is gone before the first inference: nothing stays mapped."""
    folder = tmp_path / "model" / "1"
    shutil.copytree(data / source, folder)
    served = Loader(tmp_path).read(folder, RAW)
    shutil.rmtree(folder)
    assert served.format == format_name
    assert [(port.datatype, port.shape) for port in served.inputs] == [("FP32", shape)]
    image = np.arange(192, dtype=np.float32).reshape(shape) / 192
    compiled = ov.Core().compile_model(served.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    scores = compiled({served.inputs[0].name: image})[0]
    np.testing.assert_allclose(scores, [expected], rtol=1e-5)


def test_onnx_gives_its_scores_and_describes_itself(data: Path, tmp_path: Path) -> None:
    """Its metadata say Classification; the weights are those of the Paddle file."""
    shutil.copytree(data / "onnx", tmp_path / "model" / "1")
    (tmp_path / "model" / "1" / "outside.onnx").unlink()
    served = Loader(tmp_path).read(tmp_path / "model" / "1", None)
    assert (served.format, served.spec.task) == ("onnx", Task.CLASSIFICATION)
    assert served.spec.labels == ("red car", "blue")
    image = np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8) / 192
    compiled = ov.Core().compile_model(served.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled({"image": image})[0], [PADDLE], rtol=1e-5)


def test_onnx_weights_outside_the_folder_are_refused(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model" / "1"
    folder.mkdir(parents=True)
    shutil.copy(data / "onnx" / "outside.onnx", folder / "model.onnx")
    (tmp_path / "model" / "secret.bin").write_bytes(bytes(216))
    with pytest.raises(ModelUnavailable, match="outside the base directory"):
        Loader(tmp_path).read(folder, RAW)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("names", "path", "format_name"),
    [
        (("model.xml", "model.bin"), "model.xml", "openvino"),
        (("resnet50.xml", "resnet50.bin"), "resnet50.xml", "openvino"),
        (("model.xml", "other.onnx"), "model.xml", "openvino"),
        (("model.savedmodel/saved_model.pb",), "model.savedmodel", "tensorflow"),
        (("saved_model.pb", "fingerprint.pb", "variables/variables.index"), ".", "tensorflow"),
        (("model.pb",), "model.pb", "tensorflow"),
        (("inference.pdmodel", "inference.pdiparams"), "inference.pdmodel", "paddle"),
        (("model.tflite", "labels.txt", "README.md"), "model.tflite", "tflite"),
    ],
)
def test_finds_the_model_among_its_files(
    tmp_path: Path, names: tuple[str, ...], path: str, format_name: str
) -> None:
    found = find_model(files(tmp_path, *names))
    assert (found.path, found.format) == (tmp_path / path, format_name)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "there is nothing"),
        (("weights.pt", "notes.txt"), "there is notes.txt, weights.pt"),
        (("a.xml", "b.xml"), "several models in one folder: a.xml, b.xml"),
        (("model.xml", "model.onnx"), "several models in one folder: model.xml, model.onnx"),
        (("model.json", "model.pdiparams"), "export a .pdmodel"),
    ],
)
def test_says_what_is_wrong_with_a_folder(
    tmp_path: Path, names: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ModelUnavailable, match=reason):
        find_model(files(tmp_path, *names))
