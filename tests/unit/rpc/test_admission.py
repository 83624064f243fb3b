"""What admits a call: each limit refuses, says so, counts it, and gives room back."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pellucid.v1 import common_pb2, inference_pb2, inference_pb2_grpc
from pellucid_server.call import Call
from pellucid_server.config import Limits
from pellucid_server.engine.predict import PredictRequest, PredictResponse
from pellucid_server.errors import Overloaded
from pellucid_server.rpc.admission import PROBES, Admission
from pellucid_server.telemetry.metrics import Metrics

from .conftest import Running, cats
from .test_calls import eventually

PREDICT = "pellucid.v1.InferenceService/Predict"
REQUEST = inference_pb2.PredictRequest(model_name="pet", inputs=[common_pb2.Input(image=b"png")])


def enter(admission: Admission, tenant: str = "", *, stream: bool = False) -> ExitStack:
    stack, call = ExitStack(), Call(tenant=tenant)
    admission.enter("service/Method", call, stream=stream)
    stack.callback(admission.leave, "service/Method", call, stream=stream)
    return stack


def refusal(admission: Admission, tenant: str = "", *, stream: bool = False) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        enter(admission, tenant, stream=stream)
    return caught.value


@pytest.mark.parametrize(
    ("limits", "stream", "reason"),
    [
        (Limits(concurrent_calls=2), False, "concurrent_calls"),
        (Limits(concurrent_streams=2), True, "concurrent_streams"),
        (Limits(tenant_calls=2), False, "tenant_calls"),
    ],
)
def test_a_limit_refuses_names_its_setting_and_gives_room_back(
    limits: Limits,
    stream: bool,  # noqa: FBT001  # a case
    reason: str,
) -> None:
    admission = Admission(limits, Metrics())
    running = [enter(admission, stream=stream) for _ in range(2)]
    error = refusal(admission, stream=stream)
    assert error.reason == reason
    assert f"`limits.{reason}`" in error.message
    assert error.retry_after > 0
    running.pop().close()
    running.append(enter(admission, stream=stream))
    assert refusal(admission, stream=stream).reason == reason


def test_streams_leave_room_for_single_calls() -> None:
    admission = Admission(Limits(concurrent_calls=3, concurrent_streams=1), Metrics())
    with enter(admission, stream=True):
        refusal(admission, stream=True)
        enter(admission)


def test_a_tenant_at_its_limit_leaves_others_alone() -> None:
    admission = Admission(Limits(tenant_calls=1, tenant_rate=1, tenant_burst=2), Metrics())
    with enter(admission, "a"):
        assert refusal(admission, "a").reason == "tenant_calls"
        enter(admission, "b")
    with enter(admission, "a"):
        pass
    assert refusal(admission, "a").reason == "tenant_rate"
    enter(admission, "c")


def test_the_rate_says_when_its_next_call_is_due() -> None:
    admission = Admission(Limits(tenant_rates=("a=0.1",)), Metrics())
    enter(admission, "a").close()
    error = refusal(admission, "a")
    assert 9 < error.retry_after <= 10
    assert "`limits.tenant_rates`" in error.message
    for _ in range(100):
        enter(admission, "b").close()


def test_requests_of_a_stream_count_as_calls() -> None:
    admission = Admission(Limits(tenant_rate=0.1, tenant_burst=3), Metrics())
    with enter(admission, "a", stream=True):
        admission.charge(Call(tenant="a"))
        admission.charge(Call(tenant="a"))
        with pytest.raises(Overloaded, match=r"limits\.tenant_rate"):
            admission.charge(Call(tenant="a"))


def test_who_is_refused_for_want_of_room_keeps_the_calls_of_its_rate() -> None:
    admission = Admission(Limits(concurrent_calls=1, tenant_rate=0.1, tenant_burst=2), Metrics())
    with enter(admission, "a"):
        for _ in range(5):
            assert refusal(admission, "a").reason == "concurrent_calls"
    enter(admission, "a")


def test_names_of_tenants_are_forgotten_with_their_calls() -> None:
    admission = Admission(Limits(), Metrics())
    for index in range(100):
        enter(admission, f"tenant-{index}").close()
    assert not admission._of_tenant


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_probes_are_let_in_however_busy_the_server_is(probe: str) -> None:
    admission = Admission(Limits(concurrent_calls=1), Metrics())
    with enter(admission):
        for _ in range(2):
            admission.enter(probe, Call(), stream=False)
        admission.leave(probe, Call(), stream=False)
        refusal(admission)


def test_each_number_among_the_limits_is_a_gauge() -> None:
    metrics = Metrics()
    Admission(Limits(tenant_calls=7), metrics)
    value = metrics.registry.get_sample_value
    assert value("pellucid_limit", {"setting": "limits.tenant_calls"}) == 7
    assert value("pellucid_limit", {"setting": "limits.message_bytes"}) == 64 * 2**20
    assert value("pellucid_limit", {"setting": "limits.tenant_rate"}) is None


def refused(running: Running, reason: str, method: str = PREDICT) -> float:
    labels = {"method": method, "reason": reason}
    value = running.metrics.registry.get_sample_value("pellucid_refusals_total", labels)
    return value or 0.0


def full(_: Call) -> None:
    raise Overloaded("a long wait", retry_after=0.5, reason="wait")


def calling(running: Running, count: int, data: bytes = b"png") -> list[Any]:
    request = inference_pb2.PredictRequest(inputs=[common_pb2.Input(image=data)])
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    errors = []
    for _ in range(count):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request)
        errors.append(caught.value)
    return errors


def test_who_would_wait_too_long_is_refused_before_its_message_is_read(running: Running) -> None:
    """One beyond the limit of messages would end otherwise."""
    running.fake.on_check = full
    (error,) = calling(running, 1, bytes(5_000_000))
    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "a long wait")
    retry = error_details_pb2.RetryInfo()
    assert any(item.Unpack(retry) for item in rpc_status.from_call(error).details)
    assert 0.5 <= retry.retry_delay.nanos / 1e9 + retry.retry_delay.seconds <= 1
    assert running.fake.requests == []


def test_each_refusal_is_counted_once_and_few_are_logged(running: Running) -> None:
    running.fake.on_check = full
    calling(running, 20)
    assert refused(running, "wait") == 20
    assert running.count(PREDICT, "RESOURCE_EXHAUSTED") == 20
    lines = [line for line in running.logs if line["event"] == "call"]
    assert 1 <= len(lines) < 20
    assert (lines[0]["refused"], lines[0]["refused_unlogged"]) == ("wait", 0)


def test_a_refused_request_of_a_stream_is_counted(running: Running) -> None:
    def fail(_: PredictRequest, __: Call) -> PredictResponse:
        raise Overloaded("full", retry_after=1, reason="queue_full")

    running.fake.on_predict = fail
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    item = inference_pb2.PredictStreamRequest(id="1", request=REQUEST)
    (answer,) = stub.PredictStream(iter([item]))
    assert answer.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert refused(running, "queue_full", "pellucid.v1.InferenceService/PredictStream") == 1


@pytest.fixture
def stalled(running: Running) -> Iterator[Running]:
    """As many callers as may call at once have sent all but their message."""
    leave = threading.Event()
    channel: Any = running.channel

    def never() -> Iterator[bytes]:
        leave.wait(60)
        yield from ()

    stubs = [channel.stream_unary(f"/{PREDICT}").future(never()) for _ in range(4)]
    value = running.metrics.registry.get_sample_value
    assert eventually(lambda: value("pellucid_requests_in_flight", {"method": PREDICT}) == 4)
    yield running
    leave.set()
    for stub in stubs:
        assert stub.exception().code() is grpc.StatusCode.INVALID_ARGUMENT


def test_callers_that_send_nothing_hold_room_but_no_answers(stalled: Running) -> None:
    """Whoever comes is refused at once, and not left waiting for a thread."""
    stub = stalled.stub(inference_pb2_grpc.InferenceServiceStub)
    codes = set()
    for _ in range(200):
        try:
            stub.Predict(REQUEST, timeout=30)
        except grpc.RpcError as error:
            codes.add(error.code())
        if codes:
            break
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_room_is_there_again_after_callers_that_sent_nothing(running: Running) -> None:
    running.fake.on_predict = cats
    channel: Any = running.channel
    for _ in range(6):
        assert channel.stream_unary(f"/{PREDICT}").future(iter(())).exception() is not None
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    assert stub.Predict(REQUEST).model_name == "pets"
