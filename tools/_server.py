import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60
"""Seconds within which a server gets ready, or stops."""


@contextmanager
def running_server(models: Path, log: Path, *flags: str) -> Iterator[str]:
    """A server of a folder of models on a free loopback port; yields its address once ready."""
    command = [sys.executable, "-m", "pellucid_server", "--model-repository", str(models)]
    command += ["--port", "0", "--metrics-port", "none", "--log-format", "json", *flags]
    with log.open("wb") as stderr:
        server = subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL)
    try:
        yield _address(server, log)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address, from the server's log, once it says that it is ready."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        lines = log.read_text().splitlines()
        events = {event["event"]: event for event in map(json.loads, lines)}
        if "ready" in events:
            return str(events["listening"]["grpc"])
        time.sleep(0.05)
    raise SystemExit(f"the server did not get ready; its log is {log}:\n{log.read_text()}")
