"""The server as a process: what it prints, how it ends."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid_server.composition import compose, pool_settings
from pellucid_server.config import Settings, StartError
from pellucid_server.errors import NotFound

COMMAND = [sys.executable, "-m", "pellucid_server", "--port=0", "--metrics-port=0"]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PELLUCID_")}


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *argv], capture_output=True, text=True, check=False, env=environment()
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A server of an empty repository."""
    command = [*COMMAND, f"--model-repository={tmp_path}", "--drain-seconds=60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        yield process
        process.kill()


def logged(server: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert server.stderr
    for line in server.stderr:
        entry: dict[str, Any] = json.loads(line)
        if entry["event"] == event:
            return entry
    raise AssertionError(f"{event} was not logged")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_order(
    server: subprocess.Popen[str], number: signal.Signals
) -> None:
    logged(server, "ready")
    server.send_signal(number)
    assert logged(server, "stopped")
    assert server.wait(30) == 0


def test_the_server_tells_the_addresses_it_really_bound(server: subprocess.Popen[str]) -> None:
    listening = logged(server, "listening")
    logged(server, "ready")
    with grpc.insecure_channel(listening["grpc"]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        status = check(health_pb2.HealthCheckRequest()).status
    assert status == health_pb2.HealthCheckResponse.SERVING
    host, port = listening["metrics"].split(":")
    with socket.create_connection((host, int(port))):
        pass


def test_a_stopping_server_says_so_and_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    command = [*COMMAND, f"--model-repository={tmp_path}", "--drain-delay-seconds=600"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as server:
        listening = logged(server, "listening")
        logged(server, "ready")
        with grpc.insecure_channel(listening["grpc"]) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            server.send_signal(signal.SIGTERM)
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert server.poll() is None
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 128 + signal.SIGTERM


def test_wrong_settings_are_a_line_each_and_code_2() -> None:
    done = run("--log-level=loud", "--devices=")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(line.startswith("pellucid-server: --") for line in lines)
    assert len(lines) == 2


def test_a_server_that_cannot_start_says_why_and_ends_with_code_1(tmp_path: Path) -> None:
    done = run("--model-repository=/nowhere")
    message = "the model repository /nowhere is no folder: set --model-repository"
    assert (done.returncode, done.stderr) == (1, f"pellucid-server: {message}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in (f"--port={port}", f"--metrics-port={port}"):
            done = run(f"--model-repository={tmp_path}", flag)
            assert done.returncode == 1
            line = done.stderr.splitlines()[-1]
            assert line.startswith(f"pellucid-server: cannot listen on 127.0.0.1:{port}")
            assert line.endswith("Address already in use")


def test_a_composed_server_starts_and_stops_in_process(tmp_path: Path) -> None:
    settings = Settings(port=0, metrics_port=0, model_repository=tmp_path, drain_seconds=0)
    application = compose(settings)
    application.start()
    application.wait_until_ready()
    with grpc.insecure_channel(application.target) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        status = check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    application.stop()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", application.server.port)) != 0


def test_a_missing_repository_is_an_error_before_a_port_is_bound(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="is no folder"):
        compose(Settings(port=0, metrics_port=None, model_repository=tmp_path / "nowhere"))


def test_uploads_that_nobody_uses_are_swept(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "port": 0,
            "metrics_port": None,
            "model_repository": tmp_path,
            "drain_seconds": 0,
            "uploads": {"expiry": 0.05, "sweep_interval": 0.05},
        }
    )
    application = compose(settings)
    uploads = application.engine.uploads
    digest = hashlib.sha256(b"x").digest()
    uploads.write(digest, 1, 0, [b"x"])
    name = uploads.commit([("a.png", digest, 1)]).name
    application.start()
    application.wait_until_ready()
    for _ in range(200):
        if not uploads.received(digest, 1):
            break
        time.sleep(0.1)
    application.stop()
    with pytest.raises(NotFound):
        uploads.open(name)


def test_what_is_kept_needs_a_place(tmp_path: Path) -> None:
    """Each is an error of one line: a folder that is a file, a store that is none."""
    models, taken = tmp_path / "models", tmp_path / "taken"
    models.mkdir()
    taken.write_text("a file")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "uploads").write_text("a file")
    bare = Settings(port=0, metrics_port=None, model_repository=models)
    for settings, telling in (
        ({"state": taken / "state"}, "cannot use the folder"),
        ({"state": tmp_path / "state"}, "cannot use the folder"),
        ({"evaluations": {"store": "mysql://host/name"}}, "store of evaluations: .*postgresql"),
        ({"evaluations": {"store": f"sqlite:///{taken}/x.db"}}, "store of evaluations"),
        ({"evaluations": {"store": f"sqlite:///{taken}"}}, "store of evaluations"),
    ):
        with pytest.raises(StartError, match=telling):
            compose(Settings.model_validate(bare.model_dump() | settings))


def test_streams_are_as_many_as_cores_but_no_more_than_eight() -> None:
    cores = len(os.sched_getaffinity(0))
    assert pool_settings(Settings()).devices[0].streams == min(cores, 8)
    assert pool_settings(Settings(streams=11)).devices[0].streams == 11
