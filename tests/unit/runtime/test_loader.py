import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.loader import Loader
from pellucid_server.spec import ModelSpec
from pellucid_server.types import Task

Graph = Callable[..., ov.Model]
Write = Callable[[ov.Model, Path], Path]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return tmp_path / "model" / "1"


@pytest.mark.parametrize("file", ["model.xml", "model.onnx", "model.tflite", "model.pb"])
@pytest.mark.parametrize("content", [b"", b"<net>garbage", bytes(range(256)) * 16])
def test_garbage_is_refused_with_a_short_reason(
    tmp_path: Path, version: Path, file: str, content: bytes
) -> None:
    version.mkdir(parents=True)
    (version / file).write_bytes(content)
    with pytest.raises(ModelUnavailable) as caught:
        Loader(tmp_path).read(version, None)
    assert caught.value.message.startswith(file)
    assert len(caught.value.message) < 450
    assert str(tmp_path) not in caught.value.message
    assert "src/" not in caught.value.message


@pytest.mark.parametrize(
    ("weights", "reason"), [(b"ab", "Incorrect weights"), (None, "bin file cannot be found")]
)
def test_an_ir_without_all_its_weights_is_refused(
    tmp_path: Path,
    version: Path,
    make_graph: Graph,
    write: Write,
    weights: bytes | None,
    reason: str,
) -> None:
    write(make_graph(), version)
    (version / "model.bin").unlink()
    if weights is not None:
        (version / "model.bin").write_bytes(weights)
    with pytest.raises(ModelUnavailable, match=reason):
        Loader(tmp_path).read(version, None)


def test_weights_truncated_after_reading_do_no_harm(
    tmp_path: Path, version: Path, make_graph: Graph, write: Write
) -> None:
    """Mapped weights would end the process here."""
    served = Loader(tmp_path).read(write(make_graph(), version), None)
    os.truncate(version / "model.bin", 0)
    compiled = ov.Core().compile_model(served.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    scores = compiled({"image": np.zeros((1, 3, 8, 8), np.float32)})[0]
    np.testing.assert_array_equal(scores, [[4, 4]])


@pytest.mark.parametrize("linked", ["model.bin", "model.xml", "."])
def test_links_out_of_the_repository_are_refused(
    tmp_path: Path, make_graph: Graph, write: Write, linked: str
) -> None:
    root, outside = tmp_path / "models", tmp_path / "outside"
    write(make_graph(), outside)
    folder = root / "model" / "1"
    if linked == ".":
        folder.parent.mkdir(parents=True)
        folder.symlink_to(outside)
    else:
        write(make_graph(), folder)
        (folder / linked).unlink()
        (folder / linked).symlink_to(outside / linked)
    with pytest.raises(ModelUnavailable, match="link out of the model repository"):
        Loader(root).read(folder, None)


def test_links_within_the_repository_are_followed(
    tmp_path: Path, make_graph: Graph, write: Write
) -> None:
    """As a mounted ConfigMap has them."""
    write(make_graph(), tmp_path / "..data" / "1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "1").symlink_to(tmp_path / "..data" / "1")
    served = Loader(tmp_path).read(tmp_path / "model" / "1", None)
    assert (served.name, served.version) == ("model", 1)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"preprocess": {"input": "picture"}}, "preprocess.input: .*no input 'picture'.*image"),
        ({"inputs": {"mask": "imag"}}, "inputs.mask: .*'imag'. Did you mean 'image'"),
        ({"inputs": {"mask": "image"}}, "no image input of four dimensions"),
        ({"preprocess": {"color": "GRAY"}}, "preprocess.color: GRAY has 1 channels"),
        ({"preprocess": {"layout": "NHWC"}}, "has 8; set preprocess.layout"),
        ({"preprocess": {"mean": [1, 2]}}, "preprocess.mean: 2 values for 3 channels"),
        ({"preprocess": {"scale": [1, 2, 3, 4]}}, "preprocess.scale: 4 values for 3"),
        ({"target_layer": "featuers"}, "target_layer: .* Did you mean 'features'"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path,
    version: Path,
    make_graph: Graph,
    write: Write,
    spec: dict[str, object],
    reason: str,
) -> None:
    write(make_graph(), version)
    declared = ModelSpec.model_validate({"task": Task.CLASSIFICATION, **spec})
    with pytest.raises(ModelUnavailable, match=reason):
        Loader(tmp_path).read(version, declared)


def test_a_raw_model_needs_no_image(tmp_path: Path, version: Path, write: Write) -> None:
    data = ops.parameter([-1, 4], np.float32, name="data")
    served = Loader(tmp_path).read(
        write(ov.Model([ops.result(ops.relu(data))], [data], "raw"), version), None
    )
    assert served.spec.task is Task.RAW
    assert served.inputs[0].shape == (-1, 4)
    assert served.layers == ()


def test_types_that_no_client_can_send_are_refused(
    tmp_path: Path, version: Path, write: Write
) -> None:
    data = ops.parameter([4], ov.Type.u4, name="data")
    graph = ov.Model([ops.result(ops.convert(data, "f32"))], [data], "packed")
    with pytest.raises(ModelUnavailable, match="data is of type u4"):
        Loader(tmp_path).read(write(graph, version), None)
