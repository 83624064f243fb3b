"""Real servers, each a process of its own on loopback."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pellucid
from benchmarks.frame import Work

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
CLASSIFIER = "efficientnet-lite0"
PATIENCE = 120
TICK = 0.01
UNLIMITED = [("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Server:
    """A running server and a client of it."""

    client: pellucid.Client
    target: str
    pid: int
    startup: float
    """Seconds from the start of the process until its health said SERVING."""

    @property
    def cpu(self) -> float:
        """Processor time so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_bytes(self) -> int:
        """The most memory it held so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if found is None:
            raise RuntimeError("the kernel does not tell the peak of a process's memory")
        return int(found[1]) * 1024

    def explain(
        self, photo: Path, *, model: str = CLASSIFIER, top_k: int = 1, num_masks: int
    ) -> Work:
        """Explains as a caller does, from the call to the last map: masks, time, server's cpu."""
        cpu, start = self.cpu, time.perf_counter()
        stream = self.client.explain(photo, model=model, top_k=top_k, num_masks=num_masks)
        evaluations = stream.result().evaluations
        return Work(evaluations, time.perf_counter() - start, self.cpu - cpu)


@contextmanager
def serving(*flags: str, models: Path = MODELS) -> Iterator[Server]:
    """A server of a folder of models, once it is ready."""
    command = [sys.executable, "-m", "pellucid_server", f"--model-repository={models}"]
    command += ["--port=0", "--metrics-port=none", "--log-format=json", "--log-level=info", *flags]
    environment = {key: value for key, value in os.environ.items() if "PELLUCID" not in key}
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        try:
            target = _listening(process, Path(log.name))
            with pellucid.Client(target, options=UNLIMITED) as client:
                _wait_for_health(process, client)
                yield Server(client, target, process.pid, time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait(PATIENCE)


@cache
def flag_like(pattern: str) -> str | None:
    """A flag of the server's whose name has the pattern, where it has one."""
    command = [sys.executable, "-m", "pellucid_server", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(rf"--[a-z-]*{pattern}[a-z-]*", text)
    return found[0] if found else None


def _listening(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        lines = [line for line in log.read_text().splitlines() if line.endswith("}")]
        for event in map(json.loads, lines):
            if event["event"] == "listening":
                return str(event["grpc"])
        time.sleep(TICK)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def _wait_for_health(process: "subprocess.Popen[bytes]", client: pellucid.Client) -> None:
    deadline = time.monotonic() + PATIENCE
    while client.health() is not pellucid.Health.SERVING:
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError("the server did not become ready")
        time.sleep(TICK)
