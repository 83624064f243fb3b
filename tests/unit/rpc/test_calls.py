"""What every call has: an id, a deadline, a log line, metrics, a status."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pellucid.v1 import common_pb2, inference_pb2, inference_pb2_grpc, model_pb2, model_pb2_grpc
from pellucid_server import errors
from pellucid_server.call import Call
from pellucid_server.engine.predict import PredictRequest, PredictResponse
from pellucid_server.telemetry.logs import OF_CALL

from .conftest import Running, cats

PREDICT = "pellucid.v1.InferenceService/Predict"
REQUEST = inference_pb2.PredictRequest(model_name="pet", inputs=[common_pb2.Input(image=b"png")])


def predict(running: Running, request: inference_pb2.PredictRequest = REQUEST) -> Any:
    """One Predict; the call that ended, well or not."""
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    try:
        return stub.Predict.with_call(request)[1]
    except grpc.RpcError as error:
        return error


def eventually(check: Callable[[], bool]) -> bool:
    """The server notes a call's end after the caller sees it."""
    for _ in range(500):
        if check():
            return True
        time.sleep(0.01)
    return False


def raises(error: Exception) -> Callable[[PredictRequest, Call], PredictResponse]:
    def fail(_: PredictRequest, __: Call) -> PredictResponse:
        raise error

    return fail


def call_line(running: Running) -> dict[str, object]:
    assert eventually(lambda: any(line["event"] == "call" for line in running.logs))
    (line,) = [line for line in running.logs if line["event"] == "call"]
    return dict(line)


def test_a_call_is_answered_under_its_model_s_own_name(running: Running) -> None:
    call = predict(running)
    assert call.code() is grpc.StatusCode.OK
    assert eventually(lambda: running.count(PREDICT, "OK", "pets") == 1)


def test_a_sane_request_id_comes_back(running: Running) -> None:
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    _, call = stub.Predict.with_call(REQUEST, metadata=(("x-request-id", "mine-7"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-7"
    assert call_line(running)["request_id"] == "mine-7"


def test_what_is_logged_during_a_call_has_its_id(running: Running) -> None:
    seen = []

    def note(_: PredictRequest, call: Call) -> PredictResponse:
        seen.append((OF_CALL.get()["request_id"], call.request_id))
        raise errors.InvalidInput("enough")

    running.fake.on_predict = note
    for _ in range(3):
        predict(running)
    assert len({said for said, _ in seen}) == 3
    assert all(said == asked for said, asked in seen)


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "a,b"])
def test_an_insane_request_id_is_replaced(running: Running, bad: str) -> None:
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    _, call = stub.Predict.with_call(REQUEST, metadata=(("x-request-id", bad),))
    assert len(dict(call.trailing_metadata())["x-request-id"]) == 32


def test_a_call_is_one_log_line_with_its_times(running: Running) -> None:
    predict(running)
    line = call_line(running)
    assert line["method"] == PREDICT
    assert (line["model"], line["version"], line["status"]) == ("pets", "3", "OK")
    assert (line["inputs"], line["queue_seconds"], line["compute_seconds"]) == (1, 0.25, 0.5)
    assert str(line["peer"]).startswith("ipv4:127.0.0.1")
    assert float(str(line["seconds"])) > 0


def test_a_domain_error_becomes_its_status_with_details(running: Running) -> None:
    running.fake.on_predict = raises(errors.InvalidInput("too big", field="inputs[0].image"))
    call = predict(running)
    assert (call.code(), call.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "too big")
    bad = error_details_pb2.BadRequest()
    assert any(item.Unpack(bad) for item in rpc_status.from_call(call).details)
    assert bad.field_violations[0].field == "inputs[0].image"
    line = call_line(running)
    assert (line["log_level"], line["error"]) == ("warning", "too big")


def test_what_is_unexpected_is_logged_and_tells_the_caller_its_id_alone(running: Running) -> None:
    running.fake.on_predict = raises(ZeroDivisionError("secret"))
    call = predict(running)
    assert call.code() is grpc.StatusCode.INTERNAL
    line = call_line(running)
    assert call.details() == f"internal error; request id {line['request_id']}"
    assert line["log_level"] == "error"
    assert isinstance(line["exc_info"], ZeroDivisionError)


def test_unknown_models_make_no_label(running: Running) -> None:
    for number in range(3):
        predict(running, inference_pb2.PredictRequest(model_name=f"random-{number}"))
    assert eventually(lambda: running.count(PREDICT, "NOT_FOUND", "") == 3)


def test_unknown_methods_make_no_label(running: Running) -> None:
    call = running.raw("/pellucid.v1.InferenceService/Random")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    families = {family.name: family for family in running.metrics.registry.collect()}
    assert families["pellucid_requests"].samples == []


def test_the_deadline_reaches_the_work(running: Running) -> None:
    seen = []

    def look(request: PredictRequest, call: Call) -> PredictResponse:
        seen.append(call.remaining)
        return cats(request, call)

    running.fake.on_predict = look
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    stub.Predict(REQUEST, timeout=60)
    stub.Predict(REQUEST)
    assert 50 < seen[0] < 70
    assert seen[1] == float("inf")


def test_hanging_up_stops_the_work_and_is_counted(running: Running) -> None:
    started = threading.Event()

    def wait(request: PredictRequest, call: Call) -> PredictResponse:
        started.set()
        assert call.cancelled.wait(30)
        call.check()
        return cats(request, call)

    running.fake.on_predict = wait
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    future = stub.Predict.future(REQUEST)
    assert started.wait(30)
    future.cancel()
    assert eventually(lambda: running.count(PREDICT, "CANCELLED", "pets") == 1)
    assert call_line(running)["log_level"] == "info"


def test_a_call_whose_deadline_passes_is_counted_as_such(running: Running) -> None:
    def wait(request: PredictRequest, call: Call) -> PredictResponse:
        call.cancelled.wait(30)
        call.check()
        return cats(request, call)

    running.fake.on_predict = wait
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(REQUEST, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert eventually(lambda: running.count(PREDICT, "DEADLINE_EXCEEDED", "pets") == 1)


@pytest.fixture
def crowded(running: Running) -> Iterator[Running]:
    """All four calls that may run at once do, until the test ends."""
    arrived, leave = threading.Semaphore(0), threading.Event()

    def wait(request: PredictRequest, call: Call) -> PredictResponse:
        arrived.release()
        leave.wait(60)
        return cats(request, call)

    running.fake.on_predict = wait
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    futures = [stub.Predict.future(REQUEST) for _ in range(4)]
    for _ in futures:
        assert arrived.acquire(timeout=30)
    yield running
    leave.set()
    assert [future.result().model_name for future in futures] == ["pets"] * 4


def test_calls_beyond_the_limit_are_refused_with_a_time_to_retry(crowded: Running) -> None:
    call = predict(crowded)
    assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert any(item.Unpack(retry) for item in rpc_status.from_call(call).details)
    assert retry.retry_delay.seconds >= 1


def test_calls_that_run_are_gauged(crowded: Running) -> None:
    labels = {"method": PREDICT}
    gauge = "pellucid_requests_in_flight"
    assert crowded.metrics.registry.get_sample_value(gauge, labels) == 4


def test_room_is_given_back_however_calls_end(running: Running) -> None:
    running.fake.on_predict = raises(errors.InvalidInput("x"))
    codes = {predict(running).code() for _ in range(12)}
    assert codes == {grpc.StatusCode.INVALID_ARGUMENT}


def test_a_message_beyond_the_limit_is_refused(running: Running) -> None:
    big = inference_pb2.PredictRequest(inputs=[common_pb2.Input(image=bytes(20_000))])
    assert predict(running, big).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_stranger_s_bytes_end_in_an_error_not_in_silence(running: Running) -> None:
    call = running.raw("/pellucid.v1.ModelService/ListModels")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no message of this call's type" in str(caught.value.details())


def test_the_model_service_answers(running: Running) -> None:
    stub = running.stub(model_pb2_grpc.ModelServiceStub)
    (listed,) = stub.ListModels(model_pb2.ListModelsRequest()).models
    assert stub.GetModel(model_pb2.GetModelRequest(model_name="pet")).model == listed
    assert stub.LoadModel(model_pb2.LoadModelRequest(model_name="pets")).model == listed
    unloaded = stub.UnloadModel(model_pb2.UnloadModelRequest(model_name="pets")).model
    assert (unloaded.default_version, len(unloaded.versions)) == ("", 0)


def test_models_are_listed_by_task(running: Running) -> None:
    stub = running.stub(model_pb2_grpc.ModelServiceStub)
    ask = model_pb2.ListModelsRequest
    assert len(stub.ListModels(ask(task=common_pb2.TASK_CLASSIFICATION)).models) == 1
    assert len(stub.ListModels(ask(task=common_pb2.TASK_DETECTION)).models) == 0
    with pytest.raises(grpc.RpcError, match="99 is no task: use TASK_CLASSIFICATION"):
        stub.ListModels(ask(task=99))  # type: ignore[arg-type]  # from a newer client
