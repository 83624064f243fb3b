"""An unmodified tritonclient talks to the server; see `triton_calls`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pellucid import __version__
from pellucid_server.datatypes import NUMPY_TYPES


@pytest.fixture(scope="module")
def seen(target: str) -> dict[str, Any]:
    script = Path(__file__).with_name("triton_calls.py")
    done = subprocess.run(
        [sys.executable, script, target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_server_is_live_and_ready(seen: dict[str, Any]) -> None:
    assert (seen["live"], seen["ready"], seen["model ready"]) == (True, True, True)


def test_the_server_is_described(seen: dict[str, Any]) -> None:
    assert seen["server"] == {"name": "pellucid", "version": __version__}


def test_the_model_is_described(seen: dict[str, Any]) -> None:
    port = {"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}
    assert seen["model"] == {
        "name": "identity-fp32",
        "versions": ["1"],
        "platform": "openvino",
        "inputs": [port],
        "outputs": [port],
    }


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_every_datatype_comes_back_as_it_was(seen: dict[str, Any], datatype: str) -> None:
    assert seen["identity"][datatype] == []


def test_errors_have_the_protocol_s_statuses(seen: dict[str, Any]) -> None:
    assert seen["statuses"] == {
        "unknown model": "NOT_FOUND",
        "unknown model ready": "NOT_FOUND",
        "unknown version": "NOT_FOUND",
        "unknown output": "INVALID_ARGUMENT",
        "wrong datatype": "INVALID_ARGUMENT",
        "wrong shape": "INVALID_ARGUMENT",
        "not served": "UNIMPLEMENTED",
    }
