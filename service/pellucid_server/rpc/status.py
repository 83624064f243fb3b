"""Domain errors as gRPC statuses, with the details that clients read."""

import random
from collections.abc import Mapping
from types import MappingProxyType

import grpc
from google.rpc import error_details_pb2, status_pb2

from pellucid.v1 import inference_pb2
from pellucid_server import errors
from pellucid_server.evaluate import store
from pellucid_server.rpc.codec.durations import encode_duration

CODES: Mapping[type[errors.PellucidError], grpc.StatusCode] = MappingProxyType(
    {
        errors.PellucidError: grpc.StatusCode.INTERNAL,
        errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
        errors.NotFound: grpc.StatusCode.NOT_FOUND,
        errors.OutsideRoot: grpc.StatusCode.PERMISSION_DENIED,
        errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
        errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
        errors.ProviderUnavailable: grpc.StatusCode.UNAVAILABLE,
        errors.ModelUnavailable: grpc.StatusCode.FAILED_PRECONDITION,
        errors.NotServed: grpc.StatusCode.UNIMPLEMENTED,
        errors.EvaluationFailed: grpc.StatusCode.FAILED_PRECONDITION,
        errors.Stopping: grpc.StatusCode.UNAVAILABLE,
        store.LeaseLost: grpc.StatusCode.ABORTED,
        store.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
        store.StoreUnavailable: grpc.StatusCode.UNAVAILABLE,
        store.StoreFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
        store.StoreTooNew: grpc.StatusCode.FAILED_PRECONDITION,
        errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.Cancelled: grpc.StatusCode.CANCELLED,
        errors.DeviceUnavailable: grpc.StatusCode.UNAVAILABLE,
        errors.InferenceFailed: grpc.StatusCode.INTERNAL,
    }
)
SPREAD = 1.25
"""Retry delays grow by up to a quarter, so that who was refused together does not return so."""
LONGEST_MESSAGE = 1500
"""Characters: statuses travel in headers, which peers cap at 8 KiB."""


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status of an error; INTERNAL for what is no domain error."""
    known = (CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    return next(known, grpc.StatusCode.INTERNAL)


def status_of(error: BaseException, request_id: str) -> status_pb2.Status:
    """What a caller may see of an error.

    Domain errors tell their message and field; anything else only where to look.
    """
    status = status_pb2.Status(code=code_of(error).value[0], message=_message(error, request_id))
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    if field := getattr(error, "field", ""):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=field, description=status.message
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, errors.Overloaded | errors.Stopping):
        delay = encode_duration(error.retry_after * random.uniform(1, SPREAD))  # noqa: S311 - no secret
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def stream_error(error: BaseException, request_id: str) -> inference_pb2.StreamError:
    """The same for one request of a stream."""
    return inference_pb2.StreamError(
        code=code_of(error).value[0],
        message=_message(error, request_id),
        field=getattr(error, "field", ""),
    )


def _message(error: BaseException, request_id: str) -> str:
    if not isinstance(error, errors.PellucidError):
        return f"internal error; request id {request_id}"
    message = error.message
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}..."
