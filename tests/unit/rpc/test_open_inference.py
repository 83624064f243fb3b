"""The Open Inference Protocol, on a model whose outputs are given by each test."""

import struct
from typing import Any

import grpc
import numpy as np
import pytest

from pellucid import __version__
from pellucid_server.errors import InvalidInput
from pellucid_server.open_inference import open_inference_pb2 as pb
from pellucid_server.open_inference import open_inference_pb2_grpc
from pellucid_server.rpc.codec.contents import decode_contents, encode_contents

from .conftest import Running
from .test_calls import eventually

INFER = "inference.GRPCInferenceService/ModelInfer"
X: Any = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
Y: Any = {"name": "y"}
Z: Any = {"name": "z"}
RAW = struct.pack("<2f", 1.0, 2.0)


@pytest.fixture
def stub(running: Running) -> Any:
    """Outputs: y is twice the input, z the input's shape in ones of BF16."""
    running.fake.on_infer = lambda tensors, _: {
        "y": tensors.tensors[0][1] * 2,
        "z": np.full((1, 2), 0x3F80, np.uint16),
    }
    return running.stub(open_inference_pb2_grpc.GRPCInferenceServiceStub)


def refused(stub: Any, **request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(pb.ModelInferRequest(**{"model_name": "pets", **request}))
    return caught.value.code(), str(caught.value.details())


def test_the_server_tells_what_it_is(running: Running, stub: Any) -> None:
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    metadata = stub.ServerMetadata(pb.ServerMetadataRequest())
    assert (metadata.name, metadata.version) == ("pellucid", __version__)
    running.server.health.stop()
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert not stub.ServerReady(pb.ServerReadyRequest()).ready


def test_a_model_is_ready_broken_or_unknown(
    stub: Any,
) -> None:
    assert stub.ModelReady(pb.ModelReadyRequest(name="pets")).ready
    assert not stub.ModelReady(pb.ModelReadyRequest(name="pets", version="4")).ready
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelReady(pb.ModelReadyRequest(name="dogs"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_model_is_described(stub: Any) -> None:
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="pet"))
    assert (metadata.name, metadata.platform) == ("pets", "openvino")
    assert list(metadata.versions) == ["3"]
    (port,) = metadata.inputs
    assert (port.name, port.datatype, list(port.shape)) == ("x", "FP32", [-1, 2])
    assert [port.name for port in metadata.outputs] == ["y", "z"]


def test_raw_in_gives_raw_out(running: Running, stub: Any) -> None:
    request = pb.ModelInferRequest(
        model_name="pet", id="mine", inputs=[X], raw_input_contents=[RAW]
    )
    response = stub.ModelInfer(request)
    assert (response.model_name, response.model_version, response.id) == ("pets", "3", "mine")
    assert list(response.raw_output_contents) == [
        struct.pack("<2f", 2.0, 4.0),
        struct.pack("<2H", 0x3F80, 0x3F80),
    ]
    assert [output.datatype for output in response.outputs] == ["FP32", "BF16"]
    assert not any(output.HasField("contents") for output in response.outputs)
    assert eventually(lambda: running.count(INFER, "OK", "pets") == 1)


def test_typed_in_gives_typed_out(
    stub: Any,
) -> None:
    x: Any = {**X, "contents": {"fp32_contents": [1, 2]}}
    response = stub.ModelInfer(pb.ModelInferRequest(model_name="pets", inputs=[x], outputs=[Y]))
    assert list(response.outputs[0].contents.fp32_contents) == [2.0, 4.0]
    assert list(response.raw_output_contents) == []


def test_outputs_without_typed_contents_come_raw(
    stub: Any,
) -> None:
    x: Any = {**X, "contents": {"fp32_contents": [1, 2]}}
    response = stub.ModelInfer(pb.ModelInferRequest(model_name="pets", inputs=[x]))
    assert len(response.raw_output_contents) == 2


def test_outputs_come_in_the_order_asked_for(
    stub: Any,
) -> None:
    request = pb.ModelInferRequest(
        model_name="pets",
        inputs=[X],
        raw_input_contents=[RAW],
        outputs=[Z, Y],
    )
    assert [output.name for output in stub.ModelInfer(request).outputs] == ["z", "y"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"inputs": [X], "raw_input_contents": [RAW, RAW]}, "as many raw contents as inputs: 2"),
        (
            {"inputs": [{**X, "contents": {"fp32_contents": [1]}}], "raw_input_contents": [RAW]},
            "exclude each other",
        ),
        ({"inputs": [X], "raw_input_contents": [RAW[:-1]]}, "takes 8 bytes, not 7"),
        ({"inputs": [X]}, "takes 2 elements, not 0"),
        (
            {"inputs": [{**X, "contents": {"int_contents": [1, 2]}}]},
            "FP32 takes fp32_contents, not int_contents",
        ),
        (
            {"inputs": [{**X, "datatype": "FP16"}]},
            "FP16 has no typed contents: send raw_input_contents",
        ),
        ({"inputs": [{**X, "datatype": "FLOAT"}]}, "no datatype is called 'FLOAT'"),
        ({"inputs": [{**X, "shape": [-1]}]}, "an extent must be 0 to"),
        (
            {"inputs": [X], "raw_input_contents": [RAW], "outputs": [{"name": "w"}]},
            "the model has no output 'w'. Known: y, z.",
        ),
        (
            {"inputs": [{**X, "parameters": {"shared_memory_region": {"string_param": "r"}}}]},
            "this server has no shared_memory_region: leave it out",
        ),
        (
            {"outputs": [{"name": "y", "parameters": {"classification": {"int64_param": 3}}}]},
            "this server has no classification: leave it out",
        ),
    ],
)
def test_bad_requests_are_invalid_arguments(
    stub: Any,
    request_: dict[str, Any],
    message: str,
) -> None:
    code, details = refused(stub, **request_)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details


def test_unknown_models_are_not_found(
    stub: Any,
) -> None:
    code, _ = refused(stub, model_name="dogs", inputs=[X], raw_input_contents=[RAW])
    assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-128, 127]),
        ("INT16", [-(2**15), 2**15 - 1]),
        ("INT32", [-(2**31), 2**31 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("UINT8", [0, 255]),
        ("UINT16", [0, 2**16 - 1]),
        ("UINT32", [0, 2**32 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("FP32", [0.5, float("inf")]),
        ("FP64", [0.1, 1e300]),
        ("BYTES", [b"", b"\0a\0"]),
    ],
)
def test_typed_contents_come_back_as_they_were(datatype: str, values: list[Any]) -> None:
    array = decode_contents(
        encode_contents(np.array(values, object), datatype), datatype, (2, 1), "x"
    )
    assert array.shape == (2, 1)
    assert array.ravel().tolist() == values


@pytest.mark.parametrize(
    ("datatype", "contents"),
    [
        ("INT8", {"int_contents": [128]}),
        ("INT16", {"int_contents": [-(2**15) - 1]}),
        ("UINT8", {"uint_contents": [256]}),
        ("UINT16", {"uint_contents": [2**16]}),
    ],
)
def test_elements_out_of_range_are_refused(datatype: str, contents: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"out of the range of {datatype}") as caught:
        decode_contents(pb.InferTensorContents(**contents), datatype, (1,), "inputs[0].contents")
    assert caught.value.field == f"inputs[0].contents.{next(iter(contents))}"
