"""Servers that go away: they say so, end what they have begun, and lose no call.

Servers and their clients are real processes and connections.
"""

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

import pellucid
from pellucid.v1 import evaluation_pb2, explanation_pb2, inference_pb2
from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceStub
from pellucid.v1.explanation_pb2_grpc import ExplanationServiceStub
from pellucid.v1.inference_pb2_grpc import InferenceServiceStub
from pellucid_server.evaluate.store import Store, open_store

from .conftest import ROOT, SAMPLES, write_classifier, write_noise

pytestmark = pytest.mark.e2e

REPLICAS = 3
IMAGES, SIDE = 100, 64
EVALUATE = evaluation_pb2.EvaluateDatasetRequest(model_name="net", dataset="set")
ENDLESS = 1_000_000
"""Masks: they would take hours."""
PAUSE = 0.02
"""Seconds between calls of a caller: servers that start need some of the machine."""
LONG_LEASE = 600
"""Seconds: who goes on before has not waited for it."""
PATIENCE = 60
PHOTO = (SAMPLES / "coffee.png").read_bytes()
RELIABILITY = ROOT / "docs" / "reliability.md"
ExplainRequest: Any = explanation_pb2.ExplainRequest
PredictRequest: Any = inference_pb2.PredictRequest
Status = health_pb2.HealthCheckResponse


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a classifier that takes some milliseconds."""
    root = tmp_path_factory.mktemp("models")
    return write_classifier(root, "net", side=SIDE, layers=8, channels=64)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_noise(root / "set", IMAGES, SIDE)
    return root


def documented_config() -> str:
    """The service configuration that the documentation gives to clients of any language."""
    found = re.search(r"```json\n(\{.*?\n\})\n```", RELIABILITY.read_text(), re.DOTALL)
    assert found
    json.loads(found[1])
    return found[1]


def free_ports(count: int) -> list[int]:
    with_ports = [socket.socket() for _ in range(count)]
    for each in with_ports:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in with_ports]
    for each in with_ports:
        each.close()
    return ports


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def wait_for_end(store: Store, name: str) -> None:
    wait_for(lambda: store.get(name).state == "succeeded")


def logged(server: Any, event: str, **facts: Any) -> list[dict[str, Any]]:
    """What a server logged, of these facts."""
    return [
        entry
        for entry in server.events()
        if entry["event"] == event and facts.items() <= entry.items()
    ]


@dataclass
class Callers:
    """Threads that predict all the time, and what became of it."""

    target: str
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Meanwhile they call: some with our client, some with nothing but the configuration."""
        kinds = {"client": self._with_client, "channel": self._with_channel}
        with ThreadPoolExecutor(4) as threads:
            running = [threads.submit(self._call, kind, kinds[kind]) for kind in (*kinds, *kinds)]
            try:
                yield
            finally:
                self._stop.set()
            for each in running:
                each.result()

    def _call(self, kind: str, connect: Callable[[], Any]) -> None:
        with connect() as predict:
            while not self._stop.wait(PAUSE):
                try:
                    predict()
                    self.done[kind] += 1
                except (grpc.RpcError, pellucid.PellucidError) as error:
                    self.failures.append(f"{kind}: {error!r}")

    @contextmanager
    def _with_client(self) -> Iterator[Callable[[], Any]]:
        with pellucid.Client(self.target) as client:
            yield lambda: client.predict(PHOTO, model="net")

    @contextmanager
    def _with_channel(self) -> Iterator[Callable[[], Any]]:
        options = [("grpc.service_config", documented_config())]
        request = PredictRequest(model_name="net", inputs=[{"image": PHOTO}])
        with grpc.insecure_channel(self.target, options) as channel:
            stub: Any = InferenceServiceStub(channel)
            yield lambda: stub.Predict(request, timeout=PATIENCE)


def test_a_rolling_restart_under_load_fails_not_one_call(
    serve: Callable[..., Any], postgres: Any, models: Path, data: Path
) -> None:
    """Nor an evaluation: each goes on elsewhere at once, and ends with every row.

    Three replicas are stopped and started one after another while clients call them in turn.
    """
    url, ports = postgres.create(), free_ports(REPLICAS)

    def start(port: int) -> Any:
        return serve(
            models,
            f"--port={port}",
            f"--data-roots={data}",
            f"--evaluations-store={url}",
            f"--evaluations-lease-seconds={LONG_LEASE}",
        )

    with ThreadPoolExecutor(REPLICAS) as threads:
        replicas = list(threads.map(start, ports))
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    callers, names = Callers(target), []
    with callers.calling(), closing(open_store(url)) as store:
        for index, port in enumerate(ports):
            before = Counter(callers.done)
            with grpc.insecure_channel(replicas[index].target) as channel:
                stub: Any = EvaluationServiceStub(channel)
                names.append(next(stub.EvaluateDataset(EVALUATE)).accepted.name)
            assert replicas[index].stop() == 0
            replicas[index] = start(port)
            wait_for(partial(logged, replicas[index], "call", status="OK"))
            assert not before - callers.done
        for name in names:
            wait_for_end(store, name)
            assert [row.index for row in store.rows(name)] == list(range(IMAGES))
    assert callers.failures == []
    assert min(callers.done["client"], callers.done["channel"]) > 100
    assert sum(callers.done.values()) > 300


def test_an_evaluation_is_handed_over_at_once(
    serve: Callable[..., Any], postgres: Any, models: Path, data: Path
) -> None:
    """The other replica does not wait until the lease runs out, which would take minutes."""
    url = postgres.create()
    flags = (f"--data-roots={data}", f"--evaluations-store={url}", "--streams=1", "--threads=1")
    lease = f"--evaluations-lease-seconds={LONG_LEASE}"
    with ThreadPoolExecutor(2) as threads:
        replicas = list(threads.map(lambda _: serve(models, *flags, lease), range(2)))
    with grpc.insecure_channel(replicas[0].target) as channel, closing(open_store(url)) as store:
        stub: Any = EvaluationServiceStub(channel)
        name = next(stub.EvaluateDataset(EVALUATE)).accepted.name
        wait_for(lambda: store.get(name).done)
        owner, heir = sorted(replicas, key=lambda each: not runs(each, name))
        with grpc.insecure_channel(owner.target) as there:
            watching = evaluation_pb2.WatchEvaluationRequest(evaluation=name)
            watcher: Any = EvaluationServiceStub(there)
            stream = watcher.WatchEvaluation(watching)
            next(stream)
            owner.process.terminate()
            with pytest.raises(grpc.RpcError) as caught:
                list(stream)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_delay(caught.value) > 0
        (taken,) = wait_for(lambda: runs(heir, name))
        assert taken["start"] > 0
        assert logged(owner, "evaluation handed over", evaluation=name)
        wait_for_end(store, name)
        assert [row.index for row in store.rows(name)] == list(range(IMAGES))


def runs(server: Any, name: str) -> list[dict[str, Any]]:
    return logged(server, "evaluation runs", evaluation=name)


def probe(server: Any) -> tuple[int, dict[str, Any]]:
    """What /readyz says."""
    try:
        with urlopen(f"http://{server.metrics}/readyz") as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def ready_metric(server: Any) -> str:
    with urlopen(f"http://{server.metrics}/metrics") as response:
        lines: list[str] = response.read().decode().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("pellucid_ready "))


def retry_delay(error: Any) -> float:
    """Seconds, of the details of a status."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return 0.0


def explain_request(masks: int) -> Any:
    return ExplainRequest(
        model_name="net",
        input={"image": PHOTO},
        parameters={"num_masks": {"int_value": masks}},
        progress={"interval": {"nanos": 1000}},
    )


def test_whoever_calls_a_server_that_goes_away_is_told(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    """Probes at once; an Explain that can end does; one that cannot, and idle streams, are told."""
    small = write_classifier(tmp_path, "net", side=16, layers=1, channels=2)
    server = serve(small, "--drain-seconds=5")
    assert probe(server) == (200, {"status": "ready", "waits_for": []})
    assert ready_metric(server) == "1.0"
    with grpc.insecure_channel(server.target) as channel:
        explain: Any = ExplanationServiceStub(channel).Explain
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == Status.SERVING
        idle, hung_up = idle_stream(channel)
        assert next(idle).id == "0"
        endless = explain(explain_request(ENDLESS))
        next(endless)
        short = explain(explain_request(64))
        next(short)
        server.process.terminate()
        assert next(watch).status == Status.NOT_SERVING
        assert probe(server)[0] == 503
        assert probe(server)[1]["status"] == "draining"
        assert ready_metric(server) == "0.0"
        *_, last = short
        assert last.WhichOneof("event") == "results"
        for stream in (watch, idle):
            with pytest.raises(grpc.RpcError, match="goes away") as caught:
                list(stream)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert server.process.poll() is None, "the long one may still end"
        with pytest.raises(grpc.RpcError, match="send what has no answer again") as caught:
            list(endless)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_delay(caught.value) > 0
        hung_up.set()
    assert server.process.wait(PATIENCE) == 0
    told = logged(server, "call", status="UNAVAILABLE", refused="draining")
    assert {line["method"].split("/")[1] for line in told} == {"Explain", "PredictStream"}


def idle_stream(channel: grpc.Channel) -> tuple[Any, threading.Event]:
    """A PredictStream on which one request was sent, and that stays open."""
    hung_up = threading.Event()
    request = PredictRequest(model_name="net", inputs=[{"image": PHOTO}])

    def requests() -> Iterator[Any]:
        yield inference_pb2.PredictStreamRequest(id="0", request=request)
        hung_up.wait(PATIENCE)

    stub: Any = InferenceServiceStub(channel)
    return stub.PredictStream(requests()), hung_up


def test_calls_are_taken_while_load_balancers_notice(
    serve: Callable[..., Any], models: Path
) -> None:
    """For drain_delay_seconds after SIGTERM, probes say no and calls are served all the same."""
    server = serve(models, "--drain-delay-seconds=600")
    with pellucid.Client(server.target, retries=0) as client:
        server.process.terminate()
        wait_for(lambda: probe(server)[0] == 503)
        assert client.health() is pellucid.Health.NOT_SERVING
        client.predict(PHOTO, model="net")
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 143, "a second signal ends it at once"


def test_it_says_what_it_waits_for_until_it_is_ready(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    """The models that are still to be read, by name; the log names them too."""
    root = write_classifier(tmp_path, "first", side=8, layers=1, channels=2)
    write_classifier(tmp_path, "second", side=8, layers=1, channels=2)
    server = serve(root)
    (line,) = logged(server, "reading models")
    assert line["models"] == ["first", "second"]
    assert probe(server)[0] == 200
