"""Tries the model files of a folder out in a process of its own: a crash takes only that."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pellucid_server.errors import ModelUnavailable

PATIENCE = 600.0
KINDNESS = 10
KILL_FIRST = Path("/proc/self/oom_score_adj")


def screen(folder: Path, seconds: float = PATIENCE) -> None:
    """Finds out whether a version's files can be read and compiled without harm.

    Files that are merely bad pass: who reads them next says what is wrong.

    Raises:
        ModelUnavailable: the process crashed, or did not end in time.
    """
    command = [sys.executable, "-P", "-m", "pellucid_server.runtime.screening", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise ModelUnavailable(
            f"reading and compiling it did not end within {seconds:.0f} s"
        ) from None
    if done.returncode < 0 and -done.returncode != signal.SIGKILL:
        name = signal.Signals(-done.returncode).name
        raise ModelUnavailable(f"reading or compiling it crashes ({name}): the files are damaged")


def main(arguments: Sequence[str]) -> None:
    """Reads and compiles; how it fails does not matter, as long as it is no crash."""
    os.nice(KINDNESS)
    with suppress(OSError):
        KILL_FIRST.write_text("1000", encoding="ascii")
    import openvino as ov  # noqa: PLC0415 - takes half a second, which the server need not wait for

    from pellucid_server.runtime.formats import find_model  # noqa: PLC0415 - as above

    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})
    with suppress(Exception):
        graph = core.read_model(find_model(Path(arguments[0])).path)
        graph.get_ordered_ops()
        core.compile_model(graph, "CPU")


if __name__ == "__main__":
    main(sys.argv[1:])
