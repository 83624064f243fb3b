"""Requests of the calls, decoded as far as no model is needed; the first byte says of which."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError

from pellucid.v1 import common_pb2, evaluation_pb2, explanation_pb2, inference_pb2, model_pb2
from pellucid_server.engine.sources import SourceReader
from pellucid_server.errors import PellucidError
from pellucid_server.open_inference import open_inference_pb2
from pellucid_server.rpc.codec.comparisons import decode_comparison
from pellucid_server.rpc.codec.evaluations import decode_evaluation
from pellucid_server.rpc.codec.examples import decode_filter
from pellucid_server.rpc.codec.explanations import decode_request
from pellucid_server.rpc.codec.inputs import decode_input
from pellucid_server.rpc.codec.open_inference import decode_infer
from pellucid_server.rpc.codec.optimizations import decode_optimization
from pellucid_server.rpc.codec.parameters import ParameterReader
from pellucid_server.telemetry.metrics import Metrics

MOST = 1_000_000
READER = ParameterReader(SourceReader((), MOST, MOST, Metrics()))


def predict(message: inference_pb2.PredictRequest) -> None:
    """The inputs, and the parameters."""
    for each in message.inputs:
        decode_input(each, "inputs")
    READER.read(message)


READERS: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    (inference_pb2.PredictRequest, predict),
    (explanation_pb2.ExplainRequest, lambda message: decode_request(message, READER)),
    (evaluation_pb2.EvaluateDatasetRequest, decode_evaluation),
    (evaluation_pb2.CompareEvaluationsRequest, decode_comparison),
    (evaluation_pb2.ListExamplesRequest, decode_filter),
    (model_pb2.OptimizeModelRequest, decode_optimization),
    (open_inference_pb2.ModelInferRequest, decode_infer),
)


def take(data: bytes) -> None:
    """Decodes a message, and what is in it; no message is what protobuf refuses."""
    kind, decode = READERS[data[0] % len(READERS) if data else 0]
    message = kind()
    with suppress(DecodeError, PellucidError):
        message.ParseFromString(data[1:])
        decode(message)


PREDICT = inference_pb2.PredictRequest(
    model_name="net",
    inputs=[
        common_pb2.Input(image=b"image"),
        common_pb2.Input(uri="file:///a.png"),
        common_pb2.Input(
            tensors=common_pb2.TensorList(
                tensors=[common_pb2.Tensor(name="a", datatype="FP32", shape=[1, 2], data=bytes(8))]
            )
        ),
    ],
    inpainting=inference_pb2.InpaintingParameters(
        rectangles=[common_pb2.Box(x_min=1, y_min=1, x_max=5, y_max=5)]
    ),
)
EXPLAIN = explanation_pb2.ExplainRequest(
    model_name="net",
    input=common_pb2.Input(image=b"image"),
    targets=[explanation_pb2.Target(label="cat"), explanation_pb2.Target(class_id=3)],
    parameters={"num_masks": common_pb2.ParameterValue(int_value=16)},
    overlay=explanation_pb2.OverlayOptions(enabled=True, color_map="inferno"),
)
EVALUATE = evaluation_pb2.EvaluateDatasetRequest(
    model_name="net", dataset="set", metrics=["top1"], parameters={"name": "val"}
)
INFER = open_inference_pb2.ModelInferRequest(
    model_name="net",
    inputs=[
        open_inference_pb2.ModelInferRequest.InferInputTensor(name="a", datatype="BYTES", shape=[1])
    ],
    raw_input_contents=[b"\x02\x00\x00\x00ab"],
)
SEEDS = [
    bytes([[kind for kind, _ in READERS].index(type(message))]) + message.SerializeToString()
    for message in (PREDICT, EXPLAIN, EVALUATE, INFER)
]
