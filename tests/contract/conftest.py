"""A real server, in a process of its own, of small models that are made here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pellucid_server  # noqa: F401  # isort: skip  # keeps OpenVINO from reporting home
import openvino as ov  # isort: skip

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
def target(repository: Path) -> Iterator[str]:
    """The address of a server of the repository."""
    command = [sys.executable, "-m", "pellucid_server", "--port=0", "--metrics-port=none"]
    environment = {key: value for key, value in os.environ.items() if "PELLUCID" not in key}
    with subprocess.Popen(
        [*command, f"--model-repository={repository}", "--log-format=json"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr
        events = {}
        for line in process.stderr:
            entry = json.loads(line)
            events[entry["event"]] = entry
            if "ready" in events:
                break
        yield events["listening"]["grpc"]
        process.terminate()
