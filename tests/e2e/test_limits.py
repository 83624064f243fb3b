"""Each limit refuses as docs/limits.md says, is counted, and lets everybody in again afterwards."""

import io
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from pellucid.v1 import common_pb2, inference_pb2, inference_pb2_grpc

from .conftest import write_classifier

pytestmark = pytest.mark.e2e

SERVICE = "pellucid.v1.InferenceService"
PREDICT, STREAM = f"{SERVICE}/Predict", f"{SERVICE}/PredictStream"
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
CALLS, STREAMS, OF_TENANT = 8, 2, 3
Metadata = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def limited(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One worker, a model that takes it a while, and limits low enough to be tried."""
    root = tmp_path_factory.mktemp("slow")
    write_classifier(root, "slow", side=96, layers=6, channels=48)
    return serve(
        root,
        "--streams=1",
        "--threads=1",
        f"--limits-concurrent-calls={CALLS}",
        f"--limits-concurrent-streams={STREAMS}",
        f"--limits-tenant-calls={OF_TENANT}",
        "--limits-tenant-rates=metered=0.5",
        "--limits-inputs=2",
        "--limits-image-pixels=40000",
        "--limits-message-bytes=200000",
        "--limits-wait-seconds=0.001",
    )


@pytest.fixture(scope="module")
def stub(limited: Any) -> Iterator[inference_pb2_grpc.InferenceServiceStub]:
    with grpc.insecure_channel(limited.target) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        stub.Predict(request())  # compiles
        yield stub


@pytest.fixture
def count(limited: Any) -> Callable[..., float]:
    """How many refusals were counted since the test began."""
    before = refusals(limited)

    def since(reason: str, method: str = PREDICT) -> float:
        return refusals(limited)[method, reason] - before[method, reason]

    return since


def refusals(server: Any) -> "Counter[tuple[str, str]]":
    with urlopen(f"http://{server.metrics}/metrics") as page:
        text = page.read().decode()
    line = r'pellucid_refusals_total\{method="([^"]+)",reason="([^"]+)"\} (\S+)'
    return Counter({(method, reason): float(n) for method, reason, n in re.findall(line, text)})


def photo(side: int = 96) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def request(*images: bytes) -> inference_pb2.PredictRequest:
    inputs = [common_pb2.Input(image=image) for image in images or (photo(),)]
    return inference_pb2.PredictRequest(model_name="slow", inputs=inputs)


def of(tenant: str) -> Metadata:
    return (("x-pellucid-tenant", tenant),)


def error_of(call: Callable[[], object]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def delay(error: Any) -> float:
    """Seconds after which to try again, as machines read them; 0: nothing is said."""
    status = rpc_status.from_call(error)
    retry = error_details_pb2.RetryInfo()
    found = status is not None and any(item.Unpack(retry) for item in status.details)
    return retry.retry_delay.ToNanoseconds() / 1e9 if found else 0.0


@contextmanager
def held(server: Any, count: int, method: str = PREDICT, tenant: str = "") -> Iterator[None]:
    """Calls that have begun, and send nothing more until they are let go."""
    leave = threading.Event()

    def silence() -> Iterator[bytes]:
        leave.wait(60)
        yield from ()

    with grpc.insecure_channel(server.target) as channel:
        raw: Any = channel
        before = running(server, method)
        call = raw.stream_stream(f"/{method}")
        calls = [call(silence(), metadata=of(tenant)) for _ in range(count)]
        wait_until(lambda: running(server, method) == before + count)
        yield
        leave.set()
        for each in calls:
            each.cancel()
    wait_until(lambda: running(server, method) == before)


def running(server: Any, method: str) -> float:
    with urlopen(f"http://{server.metrics}/metrics") as page:
        text = page.read().decode()
    found = re.search(rf'pellucid_requests_in_flight\{{method="{method}"\}} (\S+)', text)
    return float(found[1]) if found else 0.0


def wait_until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_calls_beyond_the_limit_are_refused_and_probes_are_not(
    limited: Any, stub: inference_pb2_grpc.InferenceServiceStub, count: Callable[..., float]
) -> None:
    with held(limited, 3, tenant="a"), held(limited, 3, tenant="b"), held(limited, 2, tenant="c"):
        error = error_of(lambda: stub.Predict(request()))
        assert (error.code(), delay(error) >= 1) == (EXHAUSTED, True)
        assert "`limits.concurrent_calls`" in error.details()
        with grpc.insecure_channel(limited.target) as channel:
            raw: Any = channel
            assert raw.unary_unary("/inference.GRPCInferenceService/ServerReady")(b"")
    assert count("concurrent_calls") == 1
    assert stub.Predict(request()).model_name == "slow"


def test_streams_beyond_the_limit_are_refused_and_single_calls_are_not(
    limited: Any, stub: inference_pb2_grpc.InferenceServiceStub, count: Callable[..., float]
) -> None:
    with held(limited, STREAMS, STREAM):
        error = error_of(lambda: list(stub.PredictStream(iter(()))))
        assert (error.code(), delay(error) >= 1) == (EXHAUSTED, True)
        assert "`limits.concurrent_streams`" in error.details()
        assert stub.Predict(request()).model_name == "slow"
    assert count("concurrent_streams", STREAM) == 1
    assert list(stub.PredictStream(iter(()))) == []


def test_a_tenant_s_calls_beyond_its_limit_are_refused_and_others_are_not(
    limited: Any, stub: inference_pb2_grpc.InferenceServiceStub, count: Callable[..., float]
) -> None:
    with held(limited, OF_TENANT, tenant="crowd"):
        error = error_of(lambda: stub.Predict(request(), metadata=of("crowd")))
        assert (error.code(), delay(error) >= 1) == (EXHAUSTED, True)
        assert "`limits.tenant_calls`" in error.details()
        assert stub.Predict(request(), metadata=of("other")).model_name == "slow"
    assert count("tenant_calls") == 1
    assert stub.Predict(request(), metadata=of("crowd")).model_name == "slow"


def test_a_tenant_beyond_its_rate_is_told_when_to_come_and_hurts_nobody(
    stub: inference_pb2_grpc.InferenceServiceStub, count: Callable[..., float]
) -> None:
    stub.Predict(request(), metadata=of("metered"))
    error = error_of(lambda: stub.Predict(request(), metadata=of("metered")))
    assert error.code() is EXHAUSTED
    assert 0 < delay(error) <= 2.5
    assert "`limits.tenant_rates`" in error.details()
    for _ in range(5):
        stub.Predict(request(), metadata=of("free"))
    time.sleep(delay(error))
    assert stub.Predict(request(), metadata=of("metered")).model_name == "slow"
    assert count("tenant_rate") == 1


@pytest.mark.parametrize(
    ("images", "reason", "setting"),
    [
        ([photo(201)], "image_pixels", "limits.image_pixels"),
        ([photo()] * 3, "inputs", "limits.inputs"),
    ],
)
def test_requests_beyond_the_limits_are_wrong_however_often_they_come(
    stub: inference_pb2_grpc.InferenceServiceStub,
    count: Callable[..., float],
    images: list[bytes],
    reason: str,
    setting: str,
) -> None:
    error = error_of(lambda: stub.Predict(request(*images)))
    assert (error.code(), delay(error)) == (grpc.StatusCode.INVALID_ARGUMENT, 0)
    assert setting in error.details()
    assert count(reason) == 1


def test_a_message_beyond_the_limit_is_refused_by_grpc_itself(
    stub: inference_pb2_grpc.InferenceServiceStub, count: Callable[..., float]
) -> None:
    """Which says so, but tells the server no more than of a caller who hung up."""
    error = error_of(lambda: stub.Predict(request(bytes(300_000))))
    assert error.code() is EXHAUSTED
    assert "larger than max" in error.details()
    assert delay(error) == 0
    assert count("message_size") == 0


def test_a_flood_is_refused_at_once_and_served_again_when_it_ends(
    limited: Any, stub: inference_pb2_grpc.InferenceServiceStub, count: Callable[..., float]
) -> None:
    """All that are let in are answered; each of the others is told when to come again."""
    photos, tenants = request(), [f"tenant-{index}" for index in range(4)]
    refused: list[Any] = []

    def call(index: int) -> str:
        try:
            return stub.Predict(photos, metadata=of(tenants[index % 4])).model_name
        except grpc.RpcError as error:
            refused.append(error)
            return ""

    with ThreadPoolExecutor(32) as callers:
        answers = Counter(callers.map(call, range(300)))
    assert answers["slow"] > 0
    assert {error.code() for error in refused} == {EXHAUSTED}
    assert all(delay(error) > 0 for error in refused)
    assert (
        answers[""]
        == len(refused)
        == sum(
            count(reason) for reason in ("wait", "concurrent_calls", "tenant_calls", "queue_full")
        )
    )
    assert count("wait") > 0
    wait_until(lambda: running(limited, PREDICT) == 0)
    assert stub.Predict(photos).model_name == "slow"
    lines = [event for event in limited.events() if event.get("refused") == "wait"]
    assert len(lines) < len(refused)


def test_a_full_queue_refuses(
    serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where no longest wait is set."""
    root = tmp_path_factory.mktemp("queue")
    write_classifier(root, "slow", side=96, layers=6, channels=48)
    flags = ("--limits-queue-interactive=1", "--limits-wait-seconds=none")
    server = serve(root, "--streams=1", "--threads=1", *flags)
    with grpc.insecure_channel(server.target) as channel, ThreadPoolExecutor(16) as callers:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        stub.Predict(request())
        futures = [callers.submit(stub.Predict, request()) for _ in range(64)]
        errors: list[Any] = [error for each in futures if (error := each.exception())]
    assert 0 < len(errors) < 64
    assert {error.code() for error in errors} == {EXHAUSTED}
    assert all(
        delay(error) > 0 and "`limits.queue_interactive`" in error.details() for error in errors
    )
    assert refusals(server)[PREDICT, "queue_full"] == len(errors)
