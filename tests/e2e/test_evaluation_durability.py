"""Evaluations outlive what runs them: kill -9, SIGTERM, other replicas, a database that goes away.

Servers are real processes. What an evaluation ends with is compared with an undisturbed one: the
same rows but for seconds, the same report but for speed, the same digest of the data set.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from pellucid.v1 import evaluation_pb2
from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceStub
from pellucid_server.evaluate.report import Report, Row
from pellucid_server.evaluate.row_json import report_from_json
from pellucid_server.evaluate.store import Evaluation, Store, open_store

from .conftest import write_classifier, write_noise

pytestmark = pytest.mark.e2e

IMAGES, FEWER = 240, 100
SIDE, LAYERS, CHANNELS = 64, 8, 64
LEASE, SHORT_LEASE = 1.0, 0.1
SLOWLY = ("--streams=1", "--threads=1")
"""So that there is time to do something in mid-run, however many cores there are."""
KILLS, MOST_KILLS = 20, 60
CHUNK_SECONDS, CHUNK = 0.5, 128
"""After so long, or so many rows, a server commits."""
PATIENCE = 60
Request = evaluation_pb2.EvaluateDatasetRequest
State = evaluation_pb2.EvaluationState
LAUNCHER = """
import os, sys
from pellucid_server.__main__ import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        main(sys.argv[1:])
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Starts servers one after another, with what they import imported: each is a process."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a classifier that takes some milliseconds."""
    root = tmp_path_factory.mktemp("models")
    return write_classifier(root, "net", side=SIDE, layers=LAYERS, channels=CHANNELS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of noise, of which three images cannot be read."""
    root = tmp_path_factory.mktemp("data")
    write_noise(root / "set", IMAGES, SIDE)
    for index in (20, 120, 220):
        next(root.rglob(f"{index:04}.png")).write_bytes(b"no image")
    return root


@dataclass(frozen=True)
class Outcome:
    """What an evaluation ended with, but for the time it took."""

    state: str
    rows: list[Row]
    report: Report | None
    digest: str
    counts: tuple[int, int]


def outcome(store: Store, name: str) -> Outcome:
    found = store.get(name)
    report = report_from_json(found.report) if found.report else None
    return Outcome(
        found.state,
        [replace(row, seconds=0.0) for row in store.rows(name)],
        replace(report, images_per_second=0.0) if report else None,
        found.dataset_digest,
        (found.done, found.bad),
    )


def stub(target: str) -> Any:
    """Untyped, as stubs are."""
    return EvaluationServiceStub(grpc.insecure_channel(target))


def accepted(stream: Any) -> str:
    """The name in a stream's first event."""
    return str(next(stream).accepted.name)


def state_of(server: Any, name: str) -> Any:
    request = evaluation_pb2.GetEvaluationRequest(evaluation=name)
    return server.GetEvaluation(request).evaluation


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What the condition gives, once it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def some_done(server: Any, name: str) -> Any:
    """Waits until rows were committed and there are more to come."""
    return wait_for(lambda: (found := state_of(server, name)).done > 0 and found)


class Launcher:
    """Runs servers of one store, one after another."""

    def __init__(self, log: Path, *flags: str) -> None:
        command = [sys.executable, "-c", LAUNCHER, "--port=0", "--metrics-port=none", *flags]
        environment = {key: value for key, value in os.environ.items() if "PELLUCID" not in key}
        self._log = log
        self._seen = 0
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*command, "--log-format=json"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
            )

    def start(self) -> int:
        """Starts the next server: its process id."""
        self._seen = self._log.stat().st_size
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._line())

    def logged(self, event: str) -> dict[str, Any] | None:
        """What the server of now logged first of this kind."""
        with self._log.open("rb") as log:
            log.seek(self._seen)
            for line in log.read().splitlines():
                with suppress(ValueError):
                    entry: dict[str, Any] = json.loads(line)
                    if entry["event"] == event:
                        return entry
        return None

    def event(self, event: str) -> dict[str, Any]:
        """Waits for what the server of now logs."""
        found: dict[str, Any] = wait_for(lambda: self.logged(event))
        return found

    def ended(self) -> int:
        """The exit status of the server, negative for a signal."""
        return int(self._line())

    def close(self) -> None:
        """Starts no more."""
        self._process.communicate(timeout=PATIENCE)

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@contextmanager
def launcher(tmp_path: Path, models: Path, data: Path) -> Iterator[Launcher]:
    launched = Launcher(
        tmp_path / "log",
        f"--model-repository={models}",
        f"--data-roots={data}",
        f"--state={tmp_path / 'state'}",
        f"--evaluations-lease-seconds={SHORT_LEASE}",
        *SLOWLY,
    )
    try:
        yield launched
    finally:
        launched.close()


def test_kill_9_at_random_moments_changes_nothing(tmp_path: Path, models: Path, data: Path) -> None:
    """Killed twenty times and more, it goes on by itself each time: no row is lost, none twice.

    Of five moments one is uniform over the time that a server takes to start, and four from when
    the evaluation runs to a little past its first commit.
    """
    chance = random.Random(11)  # noqa: S311  # no secret
    with launcher(tmp_path, models, data) as servers:
        process = servers.start()
        begun = time.monotonic()
        server = stub(servers.event("listening")["grpc"])
        servers.event("ready")
        starting = time.monotonic() - begun
        stream = server.EvaluateDataset(Request(model_name="net", dataset="set"))
        undisturbed = accepted(stream)
        begun = time.monotonic()
        assert list(stream)[-1].report.images == IMAGES - 3
        chunk = min(CHUNK_SECONDS, (time.monotonic() - begun) * CHUNK / IMAGES)
        stream = server.EvaluateDataset(Request(model_name="net", dataset="set"))
        name = accepted(stream)
        store = open_store(f"sqlite:///{tmp_path / 'state' / 'evaluations.db'}")
        found: list[Evaluation] = [store.get(name)]
        while len(found) <= KILLS or (found[-1].done == 0 and len(found) <= MOST_KILLS):
            longest = starting
            if len(found) % 5:
                servers.event("evaluation runs")
                longest = chunk * (1.5 if found[-1].done < IMAGES / 2 else 0.8)
            time.sleep(chance.uniform(0, longest))
            os.kill(process, signal.SIGKILL)
            assert servers.ended() == -signal.SIGKILL
            found.append(store.get(name))
            assert found[-1].state in {"pending", "running"}
            process = servers.start()
        assert 0 < found[-1].done < IMAGES
        servers.event("evaluation done")
        assert outcome(store, name) == outcome(store, undisturbed)
        assert outcome(store, name).state == "succeeded"
        assert [row.index for row in store.rows(name)] == list(range(IMAGES))
        store.close()
        os.kill(process, signal.SIGTERM)
        assert servers.ended() == 0


@dataclass
class Replicas:
    """Servers of one PostgreSQL, of which some may have died."""

    start: Callable[[], Any]
    store: Store
    running: list[Any]

    def two(self) -> tuple[Any, Any]:
        """Two that live."""
        self.running = [server for server in self.running if server.process.poll() is None]
        while len(self.running) < 2:
            self.running.append(self.start())
        one, other = self.running
        return one, other

    def wait_until(self, name: str, state: str) -> None:
        """Waits until an evaluation stands so."""
        wait_for(lambda: self.store.get(name).state == state)

    def owner(self, name: str) -> tuple[Any, Any]:
        """The server that runs an evaluation, and the other."""
        started = wait_for(lambda: [s for s in self.running if runs(s, name)])
        latest = max(started, key=lambda server: runs(server, name)[-1]["token"])
        return latest, next(server for server in self.running if server is not latest)


def runs(server: Any, name: str, event: str = "evaluation runs") -> list[dict[str, Any]]:
    """What a server logged of an evaluation."""
    return [
        entry
        for entry in server.events()
        if entry["event"] == event and entry.get("evaluation") == name
    ]


@pytest.fixture(scope="module")
def replicas(
    serve: Callable[..., Any], postgres: Any, models: Path, data: Path
) -> Iterator[Replicas]:
    url = postgres.create()

    def start() -> Any:
        return serve(
            models,
            f"--data-roots={data}",
            f"--evaluations-store={url}",
            f"--evaluations-lease-seconds={LEASE}",
            "--drain-seconds=30",
            *SLOWLY,
        )

    with closing(open_store(url)) as store:
        started: list[Any] = []
        threads = [threading.Thread(target=lambda: started.append(start())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shared = Replicas(start, store, started)
        yield shared
        for server in shared.running:
            server.stop()


@pytest.fixture(scope="module")
def undisturbed(replicas: Replicas) -> Outcome:
    """What an evaluation ends with where nothing happens."""
    one, _ = replicas.two()
    stream = stub(one.target).EvaluateDataset(request())
    name = accepted(stream)
    list(stream)
    return outcome(replicas.store, name)


def request(size: int = FEWER, **settings: Any) -> Any:
    subset = evaluation_pb2.Subset(size=size)
    return Request(model_name="net", dataset="set", subset=subset, **settings)


def test_two_servers_share_the_work(replicas: Replicas) -> None:
    """Four that are submitted to one are run by both, each once."""
    one, other = replicas.two()
    first = stub(one.target)
    names = [accepted(first.EvaluateDataset(request(60))) for _ in range(4)]
    for name in names:
        replicas.wait_until(name, "succeeded")
    shares = [[name for name in names if runs(server, name)] for server in (one, other)]
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == sorted(names)
    assert all(replicas.store.get(name).token == 1 for name in names)


def test_a_server_that_is_killed_is_taken_over_while_others_watch(
    replicas: Replicas, undisturbed: Outcome
) -> None:
    """By the other one, which runs it alone, and ends it as if nothing had happened."""
    one, _ = replicas.two()
    name = accepted(stub(one.target).EvaluateDataset(request()))
    owner, heir = replicas.owner(name)
    some_done(stub(heir.target), name)
    watching = stub(heir.target).WatchEvaluation(
        evaluation_pb2.WatchEvaluationRequest(evaluation=name)
    )
    assert accepted(watching) == name
    owner.process.kill()
    events = [event.WhichOneof("event") for event in watching]
    assert events[-1] == "report"
    assert set(events[:-1]) == {"progress"}
    assert outcome(replicas.store, name) == undisturbed
    assert [entry["token"] for entry in runs(owner, name)] == [1]
    assert [entry["token"] for entry in runs(heir, name)] == [2]
    assert runs(heir, name)[0]["start"] > 0


def test_sigterm_hands_over_at_once(replicas: Replicas, undisturbed: Outcome) -> None:
    """Who watches there is told that the server stops; the other goes on where it was."""
    replicas.two()
    name = accepted(stub(replicas.running[0].target).EvaluateDataset(request()))
    owner, heir = replicas.owner(name)
    some_done(stub(heir.target), name)
    watching = stub(owner.target).WatchEvaluation(
        evaluation_pb2.WatchEvaluationRequest(evaluation=name)
    )
    accepted(watching)
    begun = time.monotonic()
    owner.process.terminate()
    with pytest.raises(grpc.RpcError) as caught:
        list(watching)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert owner.process.wait(PATIENCE) == 0
    assert time.monotonic() - begun < 20, "it must not wait for drain_seconds"
    assert runs(owner, name, "evaluation handed over")
    replicas.wait_until(name, "succeeded")
    assert outcome(replicas.store, name) == undisturbed
    assert replicas.store.get(name).token == 2


def test_hanging_up_stops_nothing_unless_asked_to(replicas: Replicas) -> None:
    one, _ = replicas.two()
    server = stub(one.target)
    names = []
    for asked in (False, True):
        stream = server.EvaluateDataset(request(100, cancel_on_disconnect=asked))
        names.append(accepted(stream))
        some_done(server, names[-1])
        stream.cancel()
    goes_on, stops = names
    replicas.wait_until(goes_on, "succeeded")
    replicas.wait_until(stops, "cancelled")
    assert 0 < replicas.store.get(stops).done < 100


def test_cancelling_from_another_server_and_resuming(
    replicas: Replicas, undisturbed: Outcome
) -> None:
    """It stops; its rows stay; it goes on from them and ends as an undisturbed one."""
    one, _ = replicas.two()
    name = accepted(stub(one.target).EvaluateDataset(request()))
    owner, other = replicas.owner(name)
    some_done(stub(other.target), name)
    cancel = evaluation_pb2.CancelEvaluationRequest(evaluation=name)
    cancelled = stub(other.target).CancelEvaluation(cancel).evaluation
    assert cancelled.state == State.EVALUATION_STATE_CANCELLED
    assert 0 < cancelled.done < FEWER
    assert runs(owner, name, "evaluation cancelled")
    watch = evaluation_pb2.WatchEvaluationRequest(evaluation=name)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub(other.target).WatchEvaluation(watch))
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    resume = evaluation_pb2.WatchEvaluationRequest(evaluation=name, resume=True)
    first, *_, last = stub(other.target).WatchEvaluation(resume)
    assert first.accepted.done == cancelled.done
    assert last.WhichOneof("event") == "report"
    assert outcome(replicas.store, name) == undisturbed


def test_one_that_failed_is_resumed_when_its_data_are_mended(
    replicas: Replicas, data: Path
) -> None:
    folder = data / "strict" / "a"
    folder.mkdir(parents=True)
    photo = next(data.rglob("0000.png")).read_bytes()
    for index in range(4):
        (folder / f"{index}.png").write_bytes(photo if index != 2 else b"no image")
    one, other = replicas.two()
    wanted = Request(model_name="net", dataset="strict", dataset_format="imagenet", strict=True)
    with pytest.raises(grpc.RpcError, match=r"a/2\.png") as caught:
        list(stub(one.target).EvaluateDataset(wanted))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    (folder / "2.png").write_bytes(photo)
    page = stub(other.target).ListEvaluations(evaluation_pb2.ListEvaluationsRequest(page_size=1))
    (failed,) = page.evaluations
    assert (failed.state, failed.done) == (State.EVALUATION_STATE_FAILED, 2)
    resume = evaluation_pb2.WatchEvaluationRequest(evaluation=failed.name, resume=True)
    *_, last = stub(other.target).WatchEvaluation(resume)
    assert last.report.images == 4


def test_a_database_that_goes_away_and_comes_back(
    replicas: Replicas, postgres: Any, undisturbed: Outcome
) -> None:
    """In mid-run, as in a crash: the evaluation ends as if nothing had happened."""
    one, other = replicas.two()
    name = accepted(stub(one.target).EvaluateDataset(request()))
    some_done(stub(other.target), name)
    postgres.stop()
    time.sleep(1.5)
    postgres.start()
    replicas.wait_until(name, "succeeded")
    assert outcome(replicas.store, name) == undisturbed
