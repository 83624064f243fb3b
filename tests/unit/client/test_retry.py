"""What is tried again, how often, and until when."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import pellucid
from pellucid._transport.retry import Tries
from pellucid.v1 import explanation_pb2, inference_pb2, model_pb2


def full(context: Any, seconds: float | None = 0.001) -> None:
    """Ends the call with RESOURCE_EXHAUSTED, and when to try again."""
    status = status_pb2.Status(code=8, message="full")
    if seconds is not None:
        delay = Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
        detail = Detail()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status.details.append(detail)
    context.abort_with_status(rpc_status.to_status(status))


def failing_first(times: int, fail: Callable[[Any], None], then: Any) -> Any:
    """Fails so often, then answers."""
    calls = iter(range(times))

    def answer(request: Any, context: Any) -> Any:
        if next(calls, None) is not None:
            fail(context)
        return then(request, context)

    return answer


def unavailable(context: Any) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")


@pytest.mark.parametrize("fail", [full, unavailable])
def test_predictions_are_tried_again(
    make: Any, fake: Any, scripted: Any, fail: Callable[[Any], None]
) -> None:
    fake.predict = failing_first(2, fail, scripted.classified)
    make().predict(scripted.png(), model="lights")
    assert len(fake.asked(inference_pb2.PredictRequest)) == 3


@pytest.mark.parametrize("fail", [full, unavailable])
@pytest.mark.parametrize("retries", [0, 2])
def test_tries_are_bounded(
    make: Any, fake: Any, scripted: Any, fail: Callable[[Any], None], retries: int
) -> None:
    fake.predict = failing_first(99, fail, scripted.classified)
    with pytest.raises((pellucid.ResourceExhaustedError, pellucid.UnavailableError)):
        make(retries=retries).predict(scripted.png(), model="lights")
    assert len(fake.asked(inference_pb2.PredictRequest)) == retries + 1


def test_tries_share_one_request_id(make: Any, fake: Any, scripted: Any) -> None:
    fake.predict = failing_first(1, full, scripted.classified)
    make().predict(scripted.png(), model="lights")
    first, second = (each["x-request-id"] for each in fake.metadata)
    assert first == second


def test_large_requests_are_tried_again(make: Any, fake: Any, scripted: Any) -> None:
    """Beyond gRPC's default buffer for retries, 256 KiB."""
    fake.predict = failing_first(1, unavailable, scripted.classified)
    make().predict(bytes(2**20), model="lights")
    assert len(fake.asked(inference_pb2.PredictRequest)) == 2


def test_what_is_too_large_is_not_tried_again(make: Any, fake: Any, scripted: Any) -> None:
    """RESOURCE_EXHAUSTED without a delay: the next try would fare no better."""
    fake.predict = lambda _request, context: full(context, None)
    with pytest.raises(pellucid.ResourceExhaustedError):
        make().predict(scripted.png(), model="lights")
    assert len(fake.asked(inference_pb2.PredictRequest)) == 1


def test_no_wait_goes_past_the_timeout(make: Any, fake: Any, scripted: Any) -> None:
    fake.predict = lambda _request, context: full(context, 1000)
    with pytest.raises(pellucid.ResourceExhaustedError):
        make().predict(scripted.png(), model="lights", timeout=30)
    assert len(fake.asked(inference_pb2.PredictRequest)) == 1


@pytest.mark.parametrize("fail", [full, unavailable])
def test_explanations_begin_again_before_their_first_event(
    make: Any, fake: Any, scripted: Any, fail: Callable[[Any], None]
) -> None:
    fake.explain = failing_first(2, fail, scripted.explained)
    assert make().explain(scripted.png(), model="lights").result().target.label == "cat"
    assert len(fake.asked(explanation_pb2.ExplainRequest)) == 3


@pytest.mark.parametrize("fail", [full, unavailable])
def test_explanations_do_not_begin_again_after_it(
    make: Any, fake: Any, scripted: Any, fail: Callable[[Any], None]
) -> None:
    def explain(request: Any, context: Any) -> Iterator[Any]:
        yield from islice(scripted.explained(request, context), 2)
        fail(context)

    fake.explain = explain
    with pytest.raises((pellucid.ResourceExhaustedError, pellucid.UnavailableError)):
        make().explain(scripted.png(), model="lights").result()
    assert len(fake.asked(explanation_pb2.ExplainRequest)) == 1


def test_loading_is_not_tried_again(make: Any, fake: Any) -> None:
    """It changes the server: only its caller knows whether to."""
    fake.load = unavailable
    with pytest.raises(pellucid.UnavailableError):
        make().load_model("lights")
    assert len(fake.asked(model_pb2.LoadModelRequest)) == 1


def test_calls_end_at_their_timeout(make: Any, fake: Any, scripted: Any) -> None:
    gone = threading.Event()

    def hangs(_request: Any, context: Any) -> Any:
        context.add_callback(gone.set)
        gone.wait(20)
        return inference_pb2.PredictResponse()

    fake.predict = hangs
    with pytest.raises(pellucid.DeadlineExceededError, match="did not finish in time"):
        make(timeout=0.2).predict(scripted.png(), model="lights")
    assert gone.wait(10)


def test_the_deadline_reaches_the_server(make: Any, fake: Any, scripted: Any) -> None:
    left: list[float] = []

    def predict(request: Any, context: Any) -> Any:
        left.append(context.time_remaining())
        return scripted.classified(request)

    fake.predict = predict
    client = make(timeout=50)
    client.predict(scripted.png(), model="lights")
    client.predict(scripted.png(), model="lights", timeout=500)
    assert 40 < left[0] < 60
    assert 400 < left[1] < 600


def test_tries_without_a_timeout_may_wait_any_time() -> None:
    error = pellucid.ResourceExhaustedError("full", retry_after=1e6)
    tries = Tries(2, None)
    assert tries.delay_after(error) == 1e6
    with pytest.raises(pellucid.ResourceExhaustedError):
        tries.delay_after(error)
