import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from pellucid.v1 import explanation_pb2, inference_pb2
from pellucid.v1.explanation_pb2_grpc import ExplanationServiceStub
from pellucid.v1.inference_pb2_grpc import InferenceServiceStub
from pellucid_server.call import Call
from pellucid_server.engine.explanation import ExplainEvent
from pellucid_server.engine.predict import PredictResponse
from pellucid_server.errors import Cancelled, Stopping
from pellucid_server.rpc.departure import LONGEST_UNREST, QUIET, Departure, last_word

from .conftest import Running, cats

ExplainRequest: Any = explanation_pb2.ExplainRequest
PredictRequest: Any = inference_pb2.PredictRequest


def test_a_call_that_was_told_ends_with_the_reason() -> None:
    departure, told, other = Departure(), Call(), Call()
    departure.begin(told)
    departure.tell()
    departure.end(told)
    assert told.cancelled.is_set()
    with pytest.raises(Stopping, match="goes away"):
        told.check()
    assert isinstance(told.reason_of(Cancelled("by whoever noticed")), Stopping)
    other.check()


def test_an_error_of_its_own_stays_what_it_is() -> None:
    call, error = Call(), ValueError()
    call.stop(Stopping("the server goes away"))
    assert call.reason_of(error) is error


def test_the_shutdown_waits_until_no_call_arrives() -> None:
    departure, arrived = Departure(), 0

    def arrive() -> None:
        nonlocal arrived
        for _ in range(5):
            departure.begin(Call())
            arrived += 1
            time.sleep(QUIET / 4)

    thread = threading.Thread(target=arrive)
    thread.start()
    departure.wait_until_quiet()
    thread.join()
    assert arrived == 5


def test_the_shutdown_does_not_wait_for_ever() -> None:
    departure, stop = Departure(), threading.Event()

    def arrive() -> None:
        while not stop.wait(QUIET / 10):
            departure.begin(Call())

    thread = threading.Thread(target=arrive)
    thread.start()
    begun = time.monotonic()
    departure.wait_until_quiet()
    assert time.monotonic() - begun >= LONGEST_UNREST / 2
    stop.set()
    thread.join()


def test_calls_are_told_before_the_end() -> None:
    assert last_word(30) == 3
    assert last_word(5) == 1
    assert last_word(0) == 0


def test_what_cannot_end_while_draining_is_told_and_what_can_ends(running: Running) -> None:
    """With the status of a server that goes away, in the metrics too."""
    begun = threading.Semaphore(0)

    def explain(_: object, call: Call) -> Iterator[ExplainEvent]:
        begun.release()
        call.cancelled.wait(30)
        call.check()
        yield from ()

    def predict(request: Any, call: Call) -> PredictResponse:
        begun.release()
        time.sleep(0.2)
        return cats(request, call)

    running.fake.on_explain, running.fake.on_predict = explain, predict
    stream = running.stub(ExplanationServiceStub).Explain(
        ExplainRequest(model_name="pets", input={"image": b"x"})
    )
    unary = running.stub(InferenceServiceStub).Predict.future(
        PredictRequest(model_name="pets", inputs=[{"image": b"x"}])
    )
    for _ in range(2):
        assert begun.acquire(timeout=30)
    running.server.stop(1)
    assert unary.result().model_name == "pets"
    with pytest.raises(grpc.RpcError, match="send what has no answer again") as caught:
        list(stream)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    method = "pellucid.v1.ExplanationService/Explain"
    assert running.count(method, "UNAVAILABLE", "pets") == 1
    labels = {"method": method, "reason": "draining"}
    assert running.metrics.registry.get_sample_value("pellucid_refusals_total", labels) == 1
