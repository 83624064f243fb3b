"""The process that optimises is ended with whoever wants it, and disturbs nobody."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import pytest

from pellucid_server.call import Call
from pellucid_server.errors import Cancelled, DeadlineExceeded, InferenceFailed
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.plan import Plan
from pellucid_server.types import Feeds

if TYPE_CHECKING:
    from tests.unit.runtime.optimize.conftest import Workplace

Make = Callable[..., ov.Model]
MODULE = b"pellucid_server.runtime.optimize.worker"


def workers(parent: int | None = None) -> list[int]:
    """Processes that optimise for this one, or another."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and MODULE in (entry / "cmdline").read_bytes():
                owner = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if owner == (parent or os.getpid()):
                    found.append(int(entry.name))
    return found


def item() -> Feeds:
    return {"image": np.zeros((1, 3, 8, 8), np.float32)}


def test_a_caller_who_hangs_up_ends_it(workplace: "Workplace", graph: Make) -> None:
    call = Call()

    def items() -> Iterator[Feeds]:
        for index in range(100):
            if index == 5:
                call.cancelled.set()
            yield item()

    served = workplace.serve(graph())
    with pytest.raises(Cancelled):
        workplace.run(served, Plan(Optimization.INT8, calibration=items), call)
    assert workers() == []
    assert workplace.left == ["1"]


def test_a_deadline_ends_it(workplace: "Workplace", graph: Make, int8: Plan) -> None:
    """Also while it computes and asks for nothing: the process has not even started here."""
    served = workplace.serve(graph())
    with pytest.raises(DeadlineExceeded):
        workplace.run(served, int8, Call(deadline=time.monotonic() + 0.1))
    assert workers() == []
    assert workplace.left == ["1"]


def test_whoever_stops_listening_ends_it(workplace: "Workplace", graph: Make, int8: Plan) -> None:
    events = workplace.optimizer.run(workplace.serve(graph()), int8, Call())
    next(events)
    assert len(workers()) == 1
    assert len(workplace.left) == 2
    events.close()
    assert workers() == []
    assert workplace.left == ["1"]


def test_it_takes_what_others_leave(workplace: "Workplace", graph: Make) -> None:
    seen = {}

    def items() -> Iterator[Feeds]:
        (pid,) = workers()
        seen["policy"] = os.sched_getscheduler(pid)
        seen["cores"] = len(os.sched_getaffinity(pid))
        seen["nice"] = os.getpriority(os.PRIO_PROCESS, pid)
        seen["first to kill"] = int(Path(f"/proc/{pid}/oom_score_adj").read_text())
        seen["session"] = os.getsid(pid) == pid
        while True:
            yield item()

    workplace.run(workplace.serve(graph()), Plan(Optimization.INT8, calibration=items))
    assert seen == {
        "policy": os.SCHED_IDLE,
        "cores": 1,
        "nice": 19,
        "first to kill": 1000,
        "session": True,
    }


def test_its_death_is_told(workplace: "Workplace", graph: Make) -> None:
    def items() -> Iterator[Feeds]:
        yield item()
        for pid in workers():
            os.kill(pid, 9)
        while True:
            yield item()

    served = workplace.serve(graph())
    with pytest.raises(InferenceFailed, match="killed, probably for lack of memory"):
        workplace.run(served, Plan(Optimization.INT8, calibration=items))
    assert workplace.left == ["1"]


SERVER = """
import sys, time
from pathlib import Path
from pellucid_server.call import Call
from pellucid_server.runtime.loader import Loader
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.optimizer import Optimizer
from pellucid_server.runtime.optimize.plan import Plan

def items():
    print("asked", flush=True)
    time.sleep(60)
    yield {}

root = Path(sys.argv[1])
served = Loader(root).read(root / "tiny" / "1", None)
list(Optimizer(root).run(served, Plan(Optimization.INT8, calibration=items), Call()))
"""


def test_a_server_that_is_killed_leaves_no_process_and_no_version(
    workplace: "Workplace", graph: Make, int8: Plan
) -> None:
    """What it left of files is removed by the next optimisation, not that of one at work."""
    served = workplace.serve(graph())
    command = [sys.executable, "-c", SERVER, str(workplace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stdout.readline() == b"asked\n"
        (worker,) = workers(server.pid)
        assert len(workplace.left) == 2
        workplace.run(served, int8)
        assert len(workplace.left) == 3
        server.kill()
    pause = threading.Event()
    while Path(f"/proc/{worker}").exists():
        pause.wait(0.01)
    workplace.run(served, int8)
    assert workplace.left == ["1", "2", "3"]


def test_nncf_reports_nothing() -> None:
    """Outside of pytest, where it would be silent anyway."""
    code = (
        "import pellucid_server.runtime.optimize.quantize, nncf.telemetry.wrapper as wrapper\n"
        "import sys\n"
        "assert 'pytest' not in sys.modules\n"
        "print(type(wrapper.telemetry()).__name__, sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MagicMock", "None"]
