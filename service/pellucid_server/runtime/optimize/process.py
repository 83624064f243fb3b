"""The process that optimises, seen from the server.

A process of its own, for three reasons: NNCF takes all the memory it wants and prints; its
inferences would take the cores from predictions, and here they get only what is left; and
it can be ended at any moment with nothing left running.
"""

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from pellucid_server.call import Call
from pellucid_server.errors import InferenceFailed
from pellucid_server.runtime.optimize.messages import Message

log = structlog.get_logger()

PATIENCE = 0.05
"""Seconds between looks at whether the caller hung up."""
TAIL = 4000


class Process:
    """Starts a process, talks with it, and ends it."""

    def __init__(self, cores: int, output: Path) -> None:
        self._output = output
        self._connection, theirs = Pipe()
        module = "pellucid_server.runtime.optimize.worker"
        command = [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(cores)]
        with output.open("wb") as file, theirs:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command,
                stdin=subprocess.PIPE,  # closes where the server ends: the process follows it
                stdout=file,
                stderr=file,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._connection.close()

    @property
    def pid(self) -> int:
        """The system's number of it."""
        return self._process.pid

    def send(self, message: Any) -> None:
        """Sends an answer.

        Raises:
            InferenceFailed: the process is no more.
        """
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._died() from error

    def receive(self, call: Call) -> Message:
        """What it says next.

        Raises:
            InferenceFailed: the process is no more.
            Cancelled, DeadlineExceeded: while waiting.
        """
        try:
            while not self._connection.poll(PATIENCE):
                call.check()
            call.check()
            message: Message = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        return message

    def log_output(self) -> None:
        """Writes what it printed to the log, for whoever looks for a reason."""
        log.warning("optimisation failed", output=self._printed())

    def _printed(self) -> str:
        return self._output.read_text("utf-8", errors="replace")[-TAIL:]

    def _died(self) -> InferenceFailed:
        code = self._process.wait()
        log.error("optimisation ended", code=code, output=self._printed())
        how = "was killed, probably for lack of memory" if code == -9 else f"ended with code {code}"
        return InferenceFailed(
            f"the process that optimises {how}; the server and its models are not touched; the "
            "server's log has its output"
        )


def spare_cores() -> int:
    """Cores that an optimisation takes: half, so that predictions find free ones."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
