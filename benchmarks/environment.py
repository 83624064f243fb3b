"""Environments of their own, for what cannot live beside our dependencies or need not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.frame import Skipped

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid-benchmarks"


def environment(requirement: str, *, without: str = "") -> str:
    """The Python of an environment with a package, which is made where it is not there yet.

    `without` is a dependency that is taken out of it.

    Raises:
        Skipped: it cannot be installed; with pip's last words.
    """
    folder = CACHE / requirement
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(requirement, sys.executable, "-m", "venv", str(folder))
        _run(requirement, str(python), "-m", "pip", "install", "--quiet", requirement)
        if without:
            _run(requirement, str(python), "-m", "pip", "uninstall", "--quiet", "--yes", without)
        (folder / "complete").touch()
    return str(python)


def _run(requirement: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Skipped(f"{requirement} cannot be installed: {words[-1]}")
