"""An environment of its own for openvino-xai, which cannot live beside a current OpenVINO."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.frame import Skipped

REQUIREMENT = "openvino-xai==1.1.0"
REPORTS_HOME = "openvino-telemetry"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid-benchmarks"


def python() -> str:
    """The Python of the environment, which is made where it is not there yet.

    Raises:
        Skipped: it cannot be installed; with pip's last words.
    """
    folder = CACHE / REQUIREMENT
    interpreter = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(interpreter), "-m", "pip", "install", "--quiet", REQUIREMENT)
        _run(str(interpreter), "-m", "pip", "uninstall", "--quiet", "--yes", REPORTS_HOME)
        (folder / "complete").touch()
    return str(interpreter)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Skipped(f"{REQUIREMENT} cannot be installed: {words[-1]}")
