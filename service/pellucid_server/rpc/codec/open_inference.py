"""Requests and responses of the Open Inference Protocol, raw or typed."""

from collections.abc import Mapping, Sequence

from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest
from pellucid_server.open_inference.open_inference_pb2 import (
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
)
from pellucid_server.rpc.codec.contents import CONTENTS, decode_contents, encode_contents
from pellucid_server.rpc.codec.tensors import (
    check_datatype,
    check_shape,
    decode_elements,
    encode_elements,
)
from pellucid_server.types import Array, Outputs, Port, TensorInput

UNSUPPORTED = ("shared_memory_region", "classification")
"""Parameters of tensors that change what is sent: better refused than ignored."""


def decode_infer(request: ModelInferRequest) -> TensorInput:
    """The tensors of a request."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(
            f"there must be as many raw contents as inputs: {len(raw)} for {len(request.inputs)}",
            field="raw_input_contents",
        )
    return TensorInput(
        tuple(
            (message.name, _decode(request, index)) for index, message in enumerate(request.inputs)
        )
    )


def wanted_outputs(request: ModelInferRequest, ports: Sequence[Port]) -> list[Port]:
    """The outputs that a request asks for, by default all."""
    by_name = {port.name: port for port in ports}
    for index, output in enumerate(request.outputs):
        _refuse_unsupported(output.parameters, f"outputs[{index}].parameters")
        if output.name not in by_name:
            raise InvalidInput(
                f"the model has no output {output.name!r}.{nearest(output.name, by_name)}",
                field=f"outputs[{index}].name",
            )
    return [by_name[output.name] for output in request.outputs] or list(ports)


def encode_infer(
    request: ModelInferRequest, wanted: Sequence[Port], outputs: Outputs
) -> ModelInferResponse:
    """The outputs that are wanted, raw where the request was."""
    typed = not request.raw_input_contents and all(port.datatype in CONTENTS for port in wanted)
    response = ModelInferResponse(id=request.id)
    for port in wanted:
        array = outputs[port.name]
        tensor = response.outputs.add(name=port.name, datatype=port.datatype, shape=array.shape)
        if typed:
            tensor.contents.CopyFrom(encode_contents(array, port.datatype))
        else:
            response.raw_output_contents.append(encode_elements(array, port.datatype))
    return response


def encode_ports(ports: Sequence[Port]) -> list[ModelMetadataResponse.TensorMetadata]:
    """Inputs or outputs of a model."""
    return [
        ModelMetadataResponse.TensorMetadata(
            name=port.name, datatype=port.datatype, shape=port.shape
        )
        for port in ports
    ]


def _decode(request: ModelInferRequest, index: int) -> Array:
    message, field = request.inputs[index], f"inputs[{index}]"
    _refuse_unsupported(message.parameters, f"{field}.parameters")
    check_datatype(message.datatype, f"{field}.datatype")
    shape = check_shape(message.shape, f"{field}.shape")
    if not request.raw_input_contents:
        return decode_contents(message.contents, message.datatype, shape, f"{field}.contents")
    if message.contents != InferTensorContents():
        raise InvalidInput(
            "typed contents and raw_input_contents exclude each other", field=f"{field}.contents"
        )
    data = request.raw_input_contents[index]
    return decode_elements(data, message.datatype, shape, f"raw_input_contents[{index}]")


def _refuse_unsupported(parameters: Mapping[str, object], field: str) -> None:
    for name in UNSUPPORTED:
        if name in parameters:
            raise InvalidInput(f"this server has no {name}: leave it out", field=f"{field}[{name}]")
