"""A real server, in a process of its own, of small models that are made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino as ov
import pytest

DATATYPES = {
    "BOOL": ov.Type.boolean,
    "UINT8": ov.Type.u8,
    "UINT16": ov.Type.u16,
    "UINT32": ov.Type.u32,
    "UINT64": ov.Type.u64,
    "INT8": ov.Type.i8,
    "INT16": ov.Type.i16,
    "INT32": ov.Type.i32,
    "INT64": ov.Type.i64,
    "FP16": ov.Type.f16,
    "BF16": ov.Type.bf16,
    "FP32": ov.Type.f32,
    "FP64": ov.Type.f64,
    "BYTES": ov.Type.string,
}


def identity(kind: ov.Type) -> ov.Model:
    """Gives what it takes, of any length in rows of two."""
    x = ov.opset13.parameter([-1, 2], kind, name="x")
    x.output(0).get_tensor().set_names({"x"})
    return ov.Model([ov.opset13.result(x)], [x], "identity")


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An identity model for each datatype."""
    folder = tmp_path_factory.mktemp("models")
    for datatype, kind in DATATYPES.items():
        version = folder / f"identity-{datatype.lower()}" / "1"
        version.mkdir(parents=True)
        ov.save_model(identity(kind), version / "model.xml", compress_to_fp16=False)
    return folder


@pytest.fixture(scope="session")
def target(repository: Path, serve: Callable[..., Any]) -> str:
    """The address of a server of the repository."""
    return str(serve(repository).target)
