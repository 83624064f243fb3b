"""What the synchronous and the asynchronous client share, but for the waiting."""

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from pellucid._transport.channel import Endpoint
from pellucid._transport.retry import Tries
from pellucid._transport.trace_context import PARENT, trace_context
from pellucid._wire.parameters import Parameters
from pellucid._wire.predictions import Query
from pellucid.errors import DeadlineExceededError, PellucidError, UnavailableError, from_call
from pellucid.types import InputLike, Task

TIMEOUT = 60.0
"""Seconds for a call, where neither it nor the client says."""
STREAM_TIMEOUT = 3600.0
"""Seconds for an explanation, and for many predictions on one stream."""

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # its stubs forgot it
"""What an asynchronous stream reads after its last message."""

HEALTH_CHECK = "/grpc.health.v1.Health/Check"


class Health(StrEnum):
    """What a service says of itself (grpc.health.v1)."""

    UNKNOWN = "unknown"
    SERVING = "serving"
    NOT_SERVING = "not_serving"
    SERVICE_UNKNOWN = "service_unknown"


@dataclass(frozen=True)
class Attempt:
    """One call: its tries, the id under which the server logs it, and the trace it belongs to."""

    endpoint: Endpoint
    tries: Tries
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    trace: tuple[tuple[str, str], ...] = field(default_factory=trace_context)

    def options(self) -> dict[str, Any]:
        """Arguments of gRPC's call beside its request."""
        given = PARENT in (self.endpoint.metadata or {})
        return {
            "timeout": self.tries.left,
            "metadata": self.endpoint.call_metadata(self.request_id)
            + (() if given else self.trace),
        }

    def error(self, call: grpc.RpcError) -> PellucidError:
        """The exception of a failed call."""
        return from_call(call, self.endpoint.target, self.request_id)

    def stream_error(self, call: grpc.RpcError) -> PellucidError:
        """The exception of a stream that ended, maybe while a message was on its way.

        asyncio's gRPC then knows no status but this INTERNAL of its own.
        """
        error = self.error(call)
        if error.message != "Internal error from Core":
            return error
        kind = DeadlineExceededError if self.tries.left == 0 else UnavailableError
        message = f"{self.endpoint.target} ended the stream while images were being sent"
        return kind(message, request_id=self.request_id)

    def delay_after(self, call: grpc.RpcError) -> float:
        """Seconds to wait before the next try.

        Raises:
            PellucidError: there is no next try.
        """
        return self.tries.delay_after(self.error(call))


class Caller:
    """Settings of a client, and what it remembers: the tasks of the models it met."""

    def __init__(self, endpoint: Endpoint, timeout: float | None) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._tasks: dict[str, Task] = {}

    @property
    def target(self) -> str:
        """Where the server is."""
        return self._endpoint.target

    def _attempt(self, timeout: float | None) -> Attempt:
        return Attempt(self._endpoint, Tries(self._endpoint.attempts, timeout))

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self.target!r})"


def query(model: str, version: str, raw_outputs: bool, parameters: dict[str, Any]) -> Query:  # noqa: FBT001 - one of several settings, passed on
    """What a prediction asks for."""
    return Query(model, version, raw_outputs, Parameters.of(parameters))


def batch(images: Any) -> tuple[list[InputLike], bool]:
    """The images of a call, and whether they came as a sequence."""
    many = isinstance(images, list | tuple)
    return (list(images) if many else [images]), many


def health_request(service: str) -> StringValue:
    """`grpc.health.v1.HealthCheckRequest`: on the wire the same as this well-known type.

    The package `grpc.health.v1` itself is never registered here: another one in the
    process may have done so.
    """
    return StringValue(value=service)


def health_response(response: Int32Value) -> Health:
    """What the service says."""
    states = list(Health)
    return states[response.value] if 0 <= response.value < len(states) else Health.UNKNOWN
