"""What can go wrong with a call, one class for each kind of answer.

PellucidError                 all of the below: `code`, `message`, `field`, `request_id`
├── UnavailableError          nobody answers at the target (also a ConnectionError)
├── DeadlineExceededError     the call took longer than its timeout (also a TimeoutError)
├── CancelledError            the call was cancelled
├── InvalidArgumentError      a field is wrong (also a ValueError): `violations`
├── NotFoundError             no model, version or class of that name
├── PermissionDeniedError     the caller, or the URI it sent, is not allowed
├── UnauthenticatedError      the token or certificate is missing or wrong
├── FailedPreconditionError   known, but not possible now: a model that is not loaded
├── ResourceExhaustedError    too much at once, or too large: `retry_after`
├── UnimplementedError        the server does not answer this call
└── InternalError             the server failed: quote `request_id` when you report it
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

REQUEST_ID = "x-request-id"
Code = grpc.StatusCode
M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class FieldViolation:
    """A field of the request that is wrong, and why."""

    field: str
    description: str


class PellucidError(Exception):
    """A call that failed.

    `code` is gRPC's status, `field` the path of the request's field at fault where
    there is one; `request_id` finds the call in the server's log.
    """

    code: Code = Code.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: Code | None = None,
        field: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after
        self.violations = violations

    def __str__(self) -> str:
        return self.message


class UnavailableError(PellucidError, ConnectionError):
    """Nobody answers at the target."""

    code = Code.UNAVAILABLE


class DeadlineExceededError(PellucidError, TimeoutError):
    """The call took longer than its timeout."""

    code = Code.DEADLINE_EXCEEDED


class CancelledError(PellucidError):
    """The call was cancelled."""

    code = Code.CANCELLED


class InvalidArgumentError(PellucidError, ValueError):
    """A field of the request is wrong; `violations` lists every one."""

    code = Code.INVALID_ARGUMENT


class NotFoundError(PellucidError):
    """There is no model, version or class of that name."""

    code = Code.NOT_FOUND


class PermissionDeniedError(PellucidError):
    """The caller, or the URI it sent, is not allowed."""

    code = Code.PERMISSION_DENIED


class UnauthenticatedError(PellucidError):
    """The token or the certificate is missing or wrong."""

    code = Code.UNAUTHENTICATED


class FailedPreconditionError(PellucidError):
    """Known, but not possible now: a model that is not loaded."""

    code = Code.FAILED_PRECONDITION


class ResourceExhaustedError(PellucidError):
    """Too much at once, or too large; `retry_after` seconds where trying again helps."""

    code = Code.RESOURCE_EXHAUSTED


class UnimplementedError(PellucidError):
    """The server does not answer this call."""

    code = Code.UNIMPLEMENTED


class InternalError(PellucidError):
    """The server failed; quote `request_id` when you report it."""

    code = Code.INTERNAL


EXCEPTIONS: Mapping[Code, type[PellucidError]] = {
    Code.CANCELLED: CancelledError,
    Code.UNKNOWN: InternalError,
    Code.INVALID_ARGUMENT: InvalidArgumentError,
    Code.DEADLINE_EXCEEDED: DeadlineExceededError,
    Code.NOT_FOUND: NotFoundError,
    Code.ALREADY_EXISTS: FailedPreconditionError,
    Code.PERMISSION_DENIED: PermissionDeniedError,
    Code.UNAUTHENTICATED: UnauthenticatedError,
    Code.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    Code.FAILED_PRECONDITION: FailedPreconditionError,
    Code.ABORTED: FailedPreconditionError,
    Code.OUT_OF_RANGE: InvalidArgumentError,
    Code.UNIMPLEMENTED: UnimplementedError,
    Code.INTERNAL: InternalError,
    Code.UNAVAILABLE: UnavailableError,
    Code.DATA_LOSS: InternalError,
}
"""Every status but OK."""

_BY_NUMBER = {code.value[0]: code for code in Code}


def from_number(number: int, message: str, field: str = "") -> PellucidError:
    """The exception of a `google.rpc.Code`, as streams carry it."""
    code = _BY_NUMBER.get(number, Code.UNKNOWN)
    return EXCEPTIONS.get(code, InternalError)(message, code=code, field=field)


def from_call(call: Any, target: str, request_id: str = "") -> PellucidError:
    """The exception of a finished gRPC call, with what its error details say."""
    code, message = call.code(), call.details() or ""
    details = _details(call)
    request = _first(details, error_details_pb2.RequestInfo())
    retry = _first(details, error_details_pb2.RetryInfo())
    bad = _first(details, error_details_pb2.BadRequest())
    violations = tuple(
        FieldViolation(each.field, each.description)
        for each in (bad.field_violations if bad else ())
    )
    return EXCEPTIONS.get(code, InternalError)(
        _message(code, message, target),
        code=code,
        field=violations[0].field if violations else "",
        request_id=request.request_id if request else request_id,
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
        violations=violations,
    )


def _message(code: Code, message: str, target: str) -> str:
    if code is Code.UNAVAILABLE:
        return (
            f"no answer from {target} ({message or 'connection refused'}): is the server running?"
        )
    if code is Code.DEADLINE_EXCEEDED:
        return f"{target} did not finish in time: allow more with `timeout`"
    return message or code.name.lower().replace("_", " ")


def _details(call: Any) -> status_pb2.Status:
    try:
        return rpc_status.from_call(call) or status_pb2.Status()
    except (ValueError, DecodeError):  # a proxy's or a foreign server's: the status alone counts
        return status_pb2.Status()


def _first(status: status_pb2.Status, kind: M) -> M | None:
    try:
        return next((kind for detail in status.details if detail.Unpack(kind)), None)
    except DecodeError:
        return None
