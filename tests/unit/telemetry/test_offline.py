"""OpenVINO's usage reports stay on the machine; each test runs in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).parents[2] / "data" / "onnx" / "model.onnx"
GUARD = """
import socket, sys, urllib.request, multiprocessing
tried = []
def refuse(name):
    def call(*args, **kwargs):
        tried.append(name)
        raise OSError("no network here")
    return call
urllib.request.urlopen = refuse("urlopen")
socket.getaddrinfo = refuse("getaddrinfo")
socket.socket.connect = refuse("connect")
multiprocessing.Process.start = refuse("process")
"""
CONVERT = f"""
import numpy as np, openvino as ov, time
from openvino import opset13 as ops
x = ops.parameter([1, 3], np.float32, name="x")
ov.save_model(ov.Model([ops.result(ops.relu(x))], [x], "m"), "m.xml")
ov.convert_model("{MODEL}")
ov.Core().read_model("m.xml")
time.sleep(0.5)
"""


def run(code: str, home: Path) -> list[str]:
    """Runs code in a home folder without consent file, outside of CI; what it printed."""
    unset = {"CI", "TF_BUILD", "JENKINS_URL"}
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=home,
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_guard_sees_openvino_s_reports(tmp_path: Path) -> None:
    """Without us, importing OpenVINO tries to report: the other tests test something."""
    assert run(f"{GUARD}{CONVERT}\nprint(*tried)", tmp_path) != []


def test_importing_and_converting_reports_nothing(tmp_path: Path) -> None:
    assert run(f"{GUARD}\nimport pellucid_server{CONVERT}\nprint(*tried)", tmp_path) == []


def test_nothing_is_written_into_the_home_folder(tmp_path: Path) -> None:
    run(f"import pellucid_server{CONVERT}", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"m.xml", "m.bin"}


def test_the_server_s_own_modules_report_nothing(tmp_path: Path) -> None:
    code = f"{GUARD}\nimport pellucid_server.__main__, time; time.sleep(0.5)\nprint(*tried)"
    assert run(code, tmp_path) == []


def test_the_sender_cannot_be_imported(tmp_path: Path) -> None:
    code = (
        "import pellucid_server, openvino.tools.ovc.telemetry_utils as utils\n"
        "print(utils.tm.__name__)"
    )
    assert run(code, tmp_path) == ["openvino.tools.ovc.telemetry_stub"]


def test_an_openvino_that_was_imported_before_reports_nothing_more(tmp_path: Path) -> None:
    wait = "import time; time.sleep(0.5); tried.clear()"
    code = f"{GUARD}\nimport openvino\n{wait}\nimport pellucid_server{CONVERT}\nprint(*tried)"
    assert run(code, tmp_path) == []
