import os
import signal
from pathlib import Path

import pytest

from benchmarks import worker
from benchmarks.worker import Worker

SCRIPT = """
import os
from benchmarks.worker import answer

def work(units):
    print("noise of a library")
    os.write(1, b"noise of its C code")
    if units < 0:
        raise SystemExit(3)
    return units

answer(work)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A script that answers with what it is asked."""
    (tmp_path / "echo_worker.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "echo_worker"


def test_answers_come_through_whatever_else_is_printed(script: str) -> None:
    with Worker(script) as process:
        answers = [process.ask(units=units) for units in (3, 5)]
    assert [each["units"] for each in answers] == [3, 5]
    assert all(each["seconds"] > 0 and each["cpu"] >= 0 for each in answers)


def test_a_script_that_ends_is_an_error(script: str) -> None:
    """It does not hang, and names the script."""
    with Worker(script) as process, pytest.raises(RuntimeError, match=r"echo_worker .* status 3"):
        process.ask(units=-1)


def test_what_a_script_started_is_not_waited_for(script: str, tmp_path: Path) -> None:
    """It keeps the way back open, as a child does that a library forked."""
    starts = 'import subprocess\nchild = subprocess.Popen(["sleep", "60"])\n'
    text = SCRIPT.replace("return units", "return child.pid")
    (tmp_path / f"{script}.py").write_text(starts + text)
    with Worker(script) as process:
        child = int(process.ask(units=1)["units"])
    assert Path(f"/proc/{child}/comm").read_text() == "sleep\n"
    os.kill(child, signal.SIGKILL)


def test_scripts_do_not_report_home(script: str, tmp_path: Path) -> None:
    """OpenVINO's reporter cannot be imported there."""
    asks = 'assert sys.modules["openvino_telemetry"] is None'
    (tmp_path / f"{script}.py").write_text(f"import sys\n{asks}\n{SCRIPT}")
    with Worker(script) as process:
        assert process.ask(units=2)["units"] == 2


def test_scripts_find_the_benchmarks() -> None:
    """They run in the repository's root."""
    assert (worker.ROOT / "benchmarks" / "worker.py").exists()
