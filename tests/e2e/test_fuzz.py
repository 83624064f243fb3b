"""Whatever strangers send, the server answers with a documented status, and goes on.

`FUZZ_EXAMPLES=5000 pytest tests/e2e/test_fuzz.py` looks longer, and elsewhere each time.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pellucid
from pellucid.v1 import common_pb2, inference_pb2

from .conftest import write_classifier, write_noise
from .fuzzing import IMAGES, MODEL, RAW, Method, methods, streams, torn

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
CANARY = "canary"
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
PATIENCE = 30.0
"""Seconds for a call with one answer."""
SHORT = 0.3
"""Seconds for a call with a stream of answers: a right one may take hours."""
GROWTH = 400 * 2**20
"""Bytes that a server may take beside what it had: it compiles models and fills caches."""
pytestmark = pytest.mark.timeout(6 * 3600 if EXAMPLES else 120)
SETTINGS = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def documented() -> frozenset[str]:
    """The statuses of the page about errors, but for that of defects."""
    page = (ROOT / "docs" / "errors.md").read_text()
    return frozenset(re.findall(r"^\| ([A-Z_]+) \|", page, re.MULTILINE)) - {"INTERNAL"}


EXPECTED = documented()


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tiny models and low limits; what is left behind is looked at in the end."""
    root = tmp_path_factory.mktemp("fuzz")
    for name in (MODEL, RAW, CANARY):
        write_classifier(root / "models", name, side=32, layers=2, channels=4)
    (root / "models" / RAW / "model.yaml").unlink()
    write_noise(root / "set", 8, 32)
    server = serve(
        root / "models",
        f"--data-roots={root}",
        f"--state={root / 'state'}",
        "--limits-message-bytes=1000000",
        "--limits-image-pixels=1000000",
        "--uploads-quota-bytes=10000000",
        "--datasets-total-bytes=10000000",
        "--drain-seconds=2",
    )
    with pellucid.Client(server.target) as client:
        client.predict(PHOTO, model=CANARY)
    return server


@pytest.fixture(scope="module")
def channel(server: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.target) as channel:
        yield channel


@pytest.fixture(scope="module", autouse=True)
def unharmed(server: Any) -> Iterator[None]:
    """In the end it serves, nothing runs on, no defect was logged, and memory is bounded."""
    before = resident(server)
    yield
    with pellucid.Client(server.target) as client:
        client.predict(PHOTO, model=CANARY)
    assert server.process.poll() is None
    until = time.monotonic() + PATIENCE
    while running := calls_in_flight(server):
        assert time.monotonic() < until, running
        time.sleep(0.1)
    assert not [event for event in server.events() if event["level"] == "error"]
    assert "Traceback" not in server.log.read_text()
    assert resident(server) < before + GROWTH


def resident(server: Any) -> int:
    """Bytes of the server in memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def calls_in_flight(server: Any) -> dict[str, float]:
    """Calls that run, by method."""
    with urlopen(f"http://{server.metrics}/metrics", timeout=PATIENCE) as page:
        text = page.read().decode()
    found = re.findall(r'pellucid_requests_in_flight\{method="(.+)"\} (.+)', text)
    return {method: float(count) for method, count in found if float(count)}


def call(channel: grpc.Channel, method: Method, requests: list[bytes]) -> list[bytes]:
    """Sends bytes as they are; the answers, after a look at the status.

    Every call is sent as one of streams, which on the wire is the same: so one that takes a
    single request can be sent none.
    """
    long = method.descriptor.server_streaming
    answers: Any = channel.stream_stream(method.path)(  # type: ignore[call-arg]  # bytes as they are
        iter(requests), timeout=SHORT if long else PATIENCE
    )
    seen: list[bytes] = []
    try:
        seen.extend(answers)
    except grpc.RpcError as error:
        check(error, may_be_late=long)
    return seen


def check(error: Any, *, may_be_late: bool) -> None:
    code, details = error.code(), error.details() or ""
    assert code.name in EXPECTED, details
    assert may_be_late or code is not grpc.StatusCode.DEADLINE_EXCEEDED
    assert code is not grpc.StatusCode.UNAVAILABLE, details
    assert "Traceback" not in details
    assert 'File "' not in details


@pytest.mark.parametrize("method", [*methods()], ids=str)
def test_every_call_with_any_request(channel: grpc.Channel, method: Method) -> None:
    """Any fields, extreme numbers, torn and random bytes, too many requests and none."""

    @SETTINGS
    @given(streams(method))
    def send(requests: list[bytes]) -> None:
        for answer in call(channel, method, requests):
            response = method.answers.FromString(answer)
            if isinstance(response, inference_pb2.PredictStreamResponse):
                assert response.error.code != grpc.StatusCode.INTERNAL.value[0]

    send()


@pytest.mark.parametrize("data", IMAGES, ids=lambda data: repr(data[:4]))
def test_any_image(channel: grpc.Channel, data: bytes) -> None:
    """Files of every format with some bytes changed: a prediction, or the field's name."""
    (predict,) = (each for each in methods() if each.descriptor.name == "Predict")

    @SETTINGS
    @given(torn(data))
    def send(image: bytes) -> None:
        source = common_pb2.Input(image=image)
        request = inference_pb2.PredictRequest(model_name=MODEL, inputs=[source])
        call(channel, predict, [request.SerializeToString()])

    send()


@SETTINGS
@given(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20),
    st.binary(max_size=200),
)
def test_any_metadata(channel: grpc.Channel, name: str, value: bytes) -> None:
    """Ids, tenants, traces, deadlines: whatever stands there, the call is answered."""
    known = ("x-request-id", "x-pellucid-tenant", "traceparent", "tracestate", "authorization")
    printable = value.decode("latin-1").encode("ascii", "ignore").decode()
    text = "".join(each for each in printable if " " <= each <= "~")
    metadata = [*((each, text) for each in known), (f"a{name}-bin", value)]
    answer: Any = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")  # type: ignore[call-arg]  # bytes as they are
    try:
        answer(b"", metadata=metadata, timeout=PATIENCE)
    except grpc.RpcError as error:
        check(error, may_be_late=False)
