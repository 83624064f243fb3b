import threading
from collections.abc import Iterator
from typing import Any, cast

import grpc
import numpy as np
import pytest

from pellucid.v1 import (
    common_pb2,
    explanation_pb2,
    explanation_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
)
from pellucid_server.call import Call
from pellucid_server.engine.explanation import (
    ExplainAccepted,
    ExplainEvent,
    ExplainProgress,
    ExplainRequest,
    Explanation,
    SaliencyMap,
)
from pellucid_server.engine.predict import PredictRequest, PredictResponse
from pellucid_server.types import Box, Category, PictureFormat, Size

from .conftest import Running, cats
from .test_calls import eventually

EXPLAIN = "pellucid.v1.ExplanationService/Explain"
STREAM = "pellucid.v1.InferenceService/PredictStream"
ACCEPTED = ExplainAccepted(
    "pets", "3", "rise", {"seed": 7}, (Category(0, "cat", 0.75),), 10, Size(2, 3), Size(20, 30)
)
MAP = SaliencyMap(np.arange(6, dtype=np.float32).reshape(2, 3), Box(0, 0, 30, 20))
RESULT = Explanation(
    target=Category(0, "cat", 0.75),
    saliency_map=MAP,
    overlay=np.zeros((4, 5, 3), np.uint8),
    overlay_format=PictureFormat.PNG,
    model_name="pets",
    model_version="3",
    method="rise",
    parameters={"seed": 7},
    evaluations=11,
    precision="f32",
    elapsed=1.5,
)
REQUEST = explanation_pb2.ExplainRequest(model_name="pet", input=common_pb2.Input(image=b"png"))


def item(
    name: str, model: str = "pets", image: bytes = b"png"
) -> inference_pb2.PredictStreamRequest:
    request = inference_pb2.PredictRequest(model_name=model, inputs=[common_pb2.Input(image=image)])
    return inference_pb2.PredictStreamRequest(id=name, request=request)


def test_a_stream_of_predictions_answers_each_by_its_id(running: Running) -> None:
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    items = [item("a"), item("b", model="dogs"), item("c")]
    answers = {answer.id: answer for answer in stub.PredictStream(iter(items))}
    assert answers["a"].response.predictions[0].classification.categories[0].label == "cat"
    assert answers["c"].WhichOneof("outcome") == "response"
    error = answers["b"].error
    assert (error.code, error.field) == (5, "model_name")
    assert error.message == "no model is called 'dogs'. Known: pets."


def test_a_stream_is_one_line_and_one_count(running: Running) -> None:
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    list(stub.PredictStream(iter([item("a"), item("b", model="dogs"), item("c")])))
    assert eventually(lambda: running.count(STREAM, "OK") == 1)
    (line,) = [line for line in running.logs if line["event"] == "call"]
    assert (line["inputs"], line["errors"]) == (2, 1)


def test_what_is_unexpected_on_a_stream_is_logged_and_hidden(running: Running) -> None:
    def fail(_: PredictRequest, __: Call) -> PredictResponse:
        raise ZeroDivisionError("secret")

    running.fake.on_predict = fail
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    (answer,) = stub.PredictStream(iter([item("a")]))
    assert answer.error.code == 13
    assert answer.error.message.startswith("internal error; request id ")
    (line,) = [line for line in running.logs if line["event"] == "request of a stream"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


def test_hanging_up_ends_a_stream_of_predictions(running: Running) -> None:
    started = threading.Event()

    def wait(request: PredictRequest, call: Call) -> PredictResponse:
        started.set()
        assert call.cancelled.wait(30)
        call.check()
        return cats(request, call)

    running.fake.on_predict = wait
    stub = running.stub(inference_pb2_grpc.InferenceServiceStub)
    done = threading.Event()

    def endless() -> Iterator[inference_pb2.PredictStreamRequest]:
        yield item("a")
        done.wait(30)

    responses = stub.PredictStream(endless())
    assert started.wait(30)
    responses.cancel()
    assert eventually(lambda: running.count(STREAM, "CANCELLED") == 1)
    done.set()


def test_an_explanation_streams_its_events_in_order(running: Running) -> None:
    progress = ExplainProgress(5, 10, 0.5, float("inf"), 10.0, (MAP,))
    running.fake.on_explain = lambda _, __: iter((ACCEPTED, progress, RESULT))
    stub = running.stub(explanation_pb2_grpc.ExplanationServiceStub)
    first, second, third = stub.Explain(REQUEST)
    assert first.accepted.parameters["seed"].int_value == 7
    assert (first.accepted.map_size.width, first.accepted.map_size.height) == (3, 2)
    assert not second.progress.HasField("remaining")
    assert second.progress.partial_maps[0].maximum == 5
    (result,) = third.results.explanations
    values = np.frombuffer(result.saliency_map.values, "<f4").reshape(2, 3)
    np.testing.assert_array_equal(values, MAP.values)
    assert result.overlay.media_type == "image/png"
    assert result.overlay.data.startswith(b"\x89PNG")
    assert (third.results.elapsed.seconds, third.results.elapsed.nanos) == (1, 500_000_000)
    assert eventually(lambda: running.count(EXPLAIN, "OK", "pets") == 1)
    (line,) = [line for line in running.logs if line["event"] == "call"]
    assert (line["version"], line["evaluations"]) == ("3", 11)


def test_hanging_up_closes_an_explanation(running: Running) -> None:
    """Between two events, where nothing but the generator's end tells the engine."""
    closed, go_on = threading.Event(), threading.Event()

    def explain(_: ExplainRequest, __: Call) -> Iterator[ExplainEvent]:
        try:
            yield ACCEPTED
            go_on.wait(30)
            while True:
                yield ExplainProgress(1, 10, 0.1, 1.0, 1.0)
        finally:
            closed.set()

    running.fake.on_explain = explain
    stub = running.stub(explanation_pb2_grpc.ExplanationServiceStub)
    events = stub.Explain(REQUEST)
    next(events)
    events.cancel()
    go_on.set()
    assert closed.wait(30)
    assert eventually(lambda: running.count(EXPLAIN, "CANCELLED", "pets") == 1)


def test_hanging_up_tells_an_explanation_that_works(running: Running) -> None:
    def explain(_: ExplainRequest, call: Call) -> Iterator[ExplainEvent]:
        yield ACCEPTED
        assert call.cancelled.wait(30)
        call.check()

    running.fake.on_explain = explain
    stub = running.stub(explanation_pb2_grpc.ExplanationServiceStub)
    events = stub.Explain(REQUEST)
    next(events)
    events.cancel()
    assert eventually(lambda: running.count(EXPLAIN, "CANCELLED", "pets") == 1)


def test_a_refusal_comes_before_any_event(running: Running) -> None:
    stub = running.stub(explanation_pb2_grpc.ExplanationServiceStub)
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.Explain(explanation_pb2.ExplainRequest(model_name="pets")))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "an input needs an image, tensors or a uri"


def test_methods_are_listed(running: Running) -> None:
    stub = running.stub(explanation_pb2_grpc.ExplanationServiceStub)
    assert list(stub.ListMethods(explanation_pb2.ListMethodsRequest()).methods) == []


@pytest.mark.parametrize("before", [0, 1])
def test_bytes_that_are_no_request_end_a_stream_and_nothing_else(
    running: Running, before: int
) -> None:
    """Left to itself gRPC calls them its own defect, and holds a stopping server up for ever."""
    channel: Any = running.channel
    messages = [item("a").SerializeToString()] * before + [b"\xff" * 20]
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.stream_stream(f"/{STREAM}")(iter(messages), timeout=30))
    assert cast("Any", caught.value).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert running.count(STREAM, "INVALID_ARGUMENT") == 1
