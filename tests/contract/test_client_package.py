"""The client is thin, and its stubs load beside whatever protobuf a process has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:")
IMPORT = """
import google.protobuf, pkgutil, importlib, pellucid.v1 as v1
for module in pkgutil.iter_modules(v1.__path__):
    importlib.import_module(f"pellucid.v1.{module.name}")
from pellucid.v1.inference_pb2 import PredictRequest
message = PredictRequest(model_name="m")
assert PredictRequest.FromString(message.SerializeToString()) == message
print(google.protobuf.__version__)
"""


def python(code: str, *first: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (*first, ROOT / "clients" / "python")))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize("requirement", ["==5.27.2", ">=5,<6", ">=6,<7", ">=7,<8"])
def test_the_stubs_load_on_every_protobuf_that_is_supported(
    tmp_path: Path, requirement: str
) -> None:
    installed = subprocess.run(
        [*PIP, "--target", tmp_path, f"protobuf{requirement}", "googleapis-common-protos"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"no package index to take protobuf{requirement} from: {installed.stderr}")
    done = python(IMPORT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(requirement.lstrip("=>")[0])


def test_the_client_needs_no_model_runtime() -> None:
    code = """
import sys
for name in ("openvino", "cv2", "pydantic", "pellucid_server"):
    sys.modules[name] = None
import pkgutil, importlib, pellucid
for module in pkgutil.walk_packages(pellucid.__path__, "pellucid."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
