"""Clients that stall, vanish, or only sit there: the server gives up on them, and serves others."""

import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from PIL import Image

import pellucid
from pellucid.v1 import explanation_pb2, inference_pb2
from pellucid.v1.explanation_pb2_grpc import ExplanationServiceStub

from .conftest import write_classifier
from .http2 import HEADERS, RST_STREAM, Http2

pytestmark = pytest.mark.e2e


def photo() -> bytes:
    """Small enough for the window that a connection has before anything is negotiated."""
    with io.BytesIO() as file:
        Image.new("RGB", (64, 64), "teal").save(file, "PNG")
        return file.getvalue()


PREDICT = "pellucid.v1.InferenceService/Predict"
EXPLAIN = "pellucid.v1.ExplanationService/Explain"
ENDLESS = 1_000_000
"""Masks: they would take hours."""
CALLS = 4
"""That may run at once."""
PATIENCE = 30
MEGABYTE = 2**20
ExplainRequest: Any = explanation_pb2.ExplainRequest
PredictRequest: Any = inference_pb2.PredictRequest
PHOTO = photo()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    return write_classifier(root, "net", side=224, layers=1, channels=4)


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any], models: Path) -> Any:
    """One that gives up on clients soon, but not on those that only take long to answer pings."""
    return serve(
        models,
        "--connections-stall-seconds=1",
        f"--limits-concurrent-calls={CALLS}",
        "--connections-idle-seconds=2",
        "--connections-ping-timeout-seconds=2",
    )


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[pellucid.Client]:
    with pellucid.Client(server.target, retries=0) as client:
        client.predict(PHOTO, model="net")
        yield client


def explain_request() -> Any:
    return ExplainRequest(
        model_name="net",
        input={"image": PHOTO},
        parameters={"num_masks": {"int_value": ENDLESS}},
        progress={"interval": {"nanos": 1000}, "partial_map_interval": {"nanos": 1000}},
    )


def predict_request() -> bytes:
    request = PredictRequest(model_name="net", inputs=[{"image": PHOTO}])
    return bytes(request.SerializeToString())


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return found


def logged(server: Any, event: str, method: str) -> list[dict[str, Any]]:
    return [e for e in server.events() if e["event"] == event and e["method"] == method]


def memory(server: Any) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_a_stream_that_nobody_reads_is_ended_and_its_memory_stays_small(
    server: Any, client: pellucid.Client
) -> None:
    """Its client answers pings, but takes no answer; others are served meanwhile."""
    before = memory(server)
    with closing(Http2(server.target, window=0)) as deaf:
        streams = [deaf.call(EXPLAIN, explain_request().SerializeToString()) for _ in range(2)]
        wait_for(lambda: in_flight(server, EXPLAIN) == 2)
        client.predict(PHOTO, model="net")
        for stream in streams:
            deaf.wait_for(RST_STREAM, stream)
        assert not deaf.closed.is_set()
    wait_for(lambda: in_flight(server, EXPLAIN) == 0)
    assert memory(server) - before < 100 * MEGABYTE
    assert len(logged(server, "client too slow", EXPLAIN)) == 2
    assert {line["status"] for line in logged(server, "call", EXPLAIN)} == {"CANCELLED"}


def test_an_answer_that_nobody_takes_is_not_kept(server: Any, client: pellucid.Client) -> None:
    """Of a call with one answer, whose thread is free already."""
    with closing(Http2(server.target, window=0)) as deaf:
        stream = deaf.call(PREDICT, predict_request())
        assert deaf.wait_for(HEADERS, stream)
        deaf.wait_for(RST_STREAM, stream)
    assert logged(server, "call", PREDICT)[-1]["status"] == "OK"
    assert logged(server, "client too slow", PREDICT)
    client.predict(PHOTO, model="net")


def test_a_message_that_stops_half_way_holds_its_place_for_a_moment_only(
    server: Any, client: pellucid.Client
) -> None:
    """More of them than calls may run, and of health too; then others are served again."""
    health = "grpc.health.v1.Health/Check"
    with closing(Http2(server.target)) as stalled:
        streams = [stalled.call(PREDICT, predict_request(), share=0.5) for _ in range(CALLS)]
        streams += [stalled.call(health, b"\n\x04nobody"[:6], share=0.5)]
        wait_for(lambda: in_flight(server, PREDICT) == CALLS)
        with pytest.raises(pellucid.ResourceExhaustedError):
            client.predict(PHOTO, model="net")
        for stream in streams:
            stalled.wait_for(RST_STREAM, stream)
    wait_for(lambda: in_flight(server, PREDICT) == 0)
    client.predict(PHOTO, model="net")
    assert client.health() is pellucid.Health.SERVING


def test_a_stream_of_requests_on_which_nothing_comes_is_ended(
    server: Any, client: pellucid.Client
) -> None:
    method = "pellucid.v1.InferenceService/PredictStream"
    item = inference_pb2.PredictStreamRequest(id="1")
    with closing(Http2(server.target)) as idle:
        stream = idle.call(method, item.SerializeToString() * 1000, share=0.5)
        idle.wait_for(RST_STREAM, stream)
    wait_for(lambda: in_flight(server, method) == 0)
    client.predict(PHOTO, model="net")


def test_idle_connections_cost_little_and_are_closed(server: Any, client: pellucid.Client) -> None:
    """Hundreds of them, of clients and of those that never speak; others are served."""
    before, files = memory(server), open_files(server)
    host, port = server.target.rsplit(":", 1)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(Http2(server.target))) for _ in range(150)]
        for _ in range(150):
            stack.enter_context(socket.create_connection((host, int(port))))
        wait_for(lambda: open_files(server) >= files + 300)
        client.predict(PHOTO, model="net")
        assert memory(server) - before < 100 * MEGABYTE
        wait_for(lambda: open_files(server) <= files + 10)
        wait_for(lambda: all(each.closed.is_set() for each in clients))


def test_a_client_that_vanished_without_a_word_is_found_out(
    serve: Callable[..., Any], models: Path
) -> None:
    """Its machine is there and takes what is sent, but nothing answers pings: the work ends."""
    server = serve(models, "--connections-ping-seconds=1", "--connections-ping-timeout-seconds=1")
    vanished = Http2(server.target, window=2**31 - 1, alive=False)
    with closing(vanished) as gone, grpc.insecure_channel(server.target) as channel:
        stub: Any = ExplanationServiceStub(channel)
        lively = stub.Explain(explain_request())
        next(lively)
        gone.call(EXPLAIN, explain_request().SerializeToString())
        wait_for(lambda: in_flight(server, EXPLAIN) == 2)
        assert gone.closed.wait(PATIENCE)
        (line,) = wait_for(lambda: logged(server, "call", EXPLAIN))
        assert line["status"] == "CANCELLED"
        assert next(lively).WhichOneof("event") == "progress", "who answers pings stays"
        lively.cancel()
    wait_for(lambda: in_flight(server, EXPLAIN) == 0)


def in_flight(server: Any, method: str) -> float:
    """As the metrics tell."""
    with urlopen(f"http://{server.metrics}/metrics") as response:
        lines = response.read().decode().splitlines()
    name = f'pellucid_requests_in_flight{{method="{method}"}} '
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def open_files(server: Any) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
