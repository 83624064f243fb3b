"""Work in a process of its own, asked for line by line; needs nothing but Python.

Both ends: `Worker` starts a script and asks, the script answers with `answer`.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """A script that answers each question with what it did: units, seconds, cpu."""

    def __init__(self, module: str, *arguments: object, python: str = sys.executable) -> None:
        command = [python, "-m", "benchmarks.offline", module, *map(str, arguments)]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}
        self._module = module
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: object) -> dict[str, float]:
        """Asks and waits.

        Raises:
            RuntimeError: the script ended; what it said is on the error output.
        """
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None  # noqa: S101  # piped above
        assert answers is not None  # noqa: S101  # piped above
        questions.write(json.dumps(question) + "\n")
        questions.flush()
        line = answers.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with status {self._process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()  # it has answered all: leaving in order may take OpenVINO for ever
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # noqa: S101  # piped above
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()  # not for the end of its output: what it started may still hold that


def answer(work: Callable[..., float]) -> None:
    """Answers until the questions end: `work` takes a question's fields, and returns units."""
    answers = _only_channel()
    for line in sys.stdin:
        cpu, start = time.process_time(), time.perf_counter()
        units = work(**json.loads(line))
        done: dict[str, Any] = {
            "units": units,
            "seconds": time.perf_counter() - start,
            "cpu": time.process_time() - cpu,
        }
        answers.write(json.dumps(done) + "\n")
        answers.flush()


def _only_channel() -> TextIO:
    """The way back, kept clear of what libraries print."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel
