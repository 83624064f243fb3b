"""Real servers for tests, each a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pellucid_server  # noqa: F401 - before OpenVINO, which it keeps from reporting home

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60


@dataclass(frozen=True)
class Server:
    """A running server."""

    target: str
    metrics: str
    log: Path
    process: "subprocess.Popen[bytes]"

    def events(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> int:
        """Sends SIGTERM and waits for the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts a server of a folder of models, with flags; it is stopped after the tests."""
    with ExitStack() as stack:

        def start(models: Path, *flags: str) -> Server:
            log = tmp_path_factory.mktemp("server") / "log"
            return stack.enter_context(_running(models, log, flags))

        yield start


@contextmanager
def _running(models: Path, log: Path, flags: tuple[str, ...]) -> Iterator[Server]:
    command = [sys.executable, "-m", "pellucid_server", f"--model-repository={models}"]
    command += ["--port=0", "--metrics-port=0", "--log-format=json", *flags]
    environment = {key: value for key, value in os.environ.items() if "PELLUCID" not in key}
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env=environment)
    try:
        yield _ready(process, log)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> Server:
    server = Server("", "", log, process)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        events = {event["event"]: event for event in server.events()}
        if "ready" in events:
            listening = events["listening"]
            return Server(listening["grpc"], listening["metrics"] or "", log, process)
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready:\n{log.read_text()}")
