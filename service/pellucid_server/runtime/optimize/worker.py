"""The process that optimises: `python -m pellucid_server.runtime.optimize.worker FD CORES`."""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

LEAST_PRIORITY = 19
FIRST_TO_KILL = "1000"


def main(arguments: Sequence[str]) -> None:
    """Does one job, told over the connection."""
    descriptor, cores = map(int, arguments)
    threading.Thread(target=_follow_the_server, daemon=True).start()
    _step_back(cores)
    from pellucid_server.runtime.optimize.work import (  # noqa: PLC0415 - loads OpenVINO, see above
        Work,
    )

    with Connection(descriptor) as server:
        Work(server, server.recv()).run()


def _follow_the_server() -> None:
    """Ends with the server, however that ends: then its end of our input closes."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _step_back(cores: int) -> None:
    """Computes on what others leave, on few cores, and dies first where memory ends.

    Threads inherit it from the one that starts them, so this comes first; and OpenVINO takes as
    many threads as the process has cores when it is loaded.
    """
    os.nice(LEAST_PRIORITY)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL, encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
