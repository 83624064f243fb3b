"""Every call of the contract exists and answers; found by reflection, as tools would."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from pellucid.v1 import evaluation_pb2, explanation_pb2, inference_pb2, model_pb2

FILES = (inference_pb2, explanation_pb2, model_pb2, evaluation_pb2)
SERVICES = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
METHODS = [method for service in SERVICES for method in service.methods]
ANSWERS = {
    "ListModels": grpc.StatusCode.OK,
    "ListMethods": grpc.StatusCode.OK,
    "PredictStream": grpc.StatusCode.OK,
    "Explain": grpc.StatusCode.INVALID_ARGUMENT,
    "OptimizeModel": grpc.StatusCode.INVALID_ARGUMENT,
    "FindUploadedFiles": grpc.StatusCode.INVALID_ARGUMENT,
    "UploadDataset": grpc.StatusCode.INVALID_ARGUMENT,
    "ListEvaluations": grpc.StatusCode.OK,
}
"""To an empty request; NOT_FOUND where a model or an evaluation must be named, and none is."""


@pytest.fixture(scope="module")
def channel(target: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(target) as channel:
        yield channel


def call(channel: grpc.Channel, method: MethodDescriptor) -> tuple[grpc.StatusCode, str]:
    """An empty request, whatever the method's kind; how the call ended."""
    request = GetMessageClass(method.input_type)()
    kind = f"{'stream' if method.client_streaming else 'unary'}_"
    kind += "stream" if method.server_streaming else "unary"
    behaviour = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    argument = iter([request]) if method.client_streaming else request
    try:
        response = behaviour(argument, timeout=30)
        if method.server_streaming:
            list(response)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_call_answers(channel: grpc.Channel, method: MethodDescriptor) -> None:
    code, details = call(channel, method)
    assert code is ANSWERS.get(method.name, grpc.StatusCode.NOT_FOUND), details


def test_reflection_lists_every_service_with_its_methods(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    listed = set(database.get_services())
    assert {service.full_name for service in SERVICES} <= listed
    assert "inference.GRPCInferenceService" in listed
    for service in SERVICES:
        file = database.FindFileContainingSymbol(service.full_name)
        (found,) = [item for item in file.service if item.name == service.name]
        assert [m.name for m in found.method] == [m.name for m in service.methods]


@pytest.mark.parametrize(
    "service", ["", "inference.GRPCInferenceService", *(service.full_name for service in SERVICES)]
)
def test_health_knows_every_service(channel: grpc.Channel, service: str) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check
    status = check(health_pb2.HealthCheckRequest(service=service)).status
    assert status == health_pb2.HealthCheckResponse.SERVING
