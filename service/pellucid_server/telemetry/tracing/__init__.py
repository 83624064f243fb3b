"""Traces of calls, where the settings ask for them: without, no call carries a span."""

from collections.abc import Iterable
from typing import Protocol

from pellucid_server.call import Span
from pellucid_server.config import StartError, Tracing

__all__ = ["Tracer", "open_tracer"]

Metadata = Iterable[tuple[str, str | bytes]]


class CallSpan(Span, Protocol):
    """The span of a call of a client."""

    def answered(self, code: int, error: BaseException | None, **facts: str | float) -> None:
        """Ends it with gRPC's status code, and what is to be told."""


class Tracer(Protocol):
    """Tells of calls, and of work that no call waits for; sends it away in the background."""

    def call(self, method: str, metadata: Metadata, peer: str, started: float) -> CallSpan:
        """A call to `service/method`; its parent is the caller's span, by W3C Trace Context."""

    def background(
        self,
        name: str,
        link: str,
        start: float,
        end: float,
        error: BaseException | None = None,
        **facts: str | float,
    ) -> None:
        """Work that no call waits for, as a trace of its own; `link` is a call's `Span.parent`."""

    def close(self) -> None:
        """Sends what is left; gives up after a few seconds."""


def open_tracer(settings: Tracing) -> Tracer | None:
    """The tracer of the settings; None: calls are not traced.

    Raises:
        StartError: the extra is not installed, or the environment's OTEL_ variables are wrong.
    """
    if not settings.enabled:
        return None
    try:
        from pellucid_server.telemetry.tracing.otel import (  # noqa: PLC0415  # an extra
            OpenTelemetry,
        )
    except ImportError as error:
        raise StartError(
            f"traces need OpenTelemetry ({error}): pip install 'pellucid[server,tracing]', "
            "or unset tracing.enabled"
        ) from error
    try:
        return OpenTelemetry(settings)
    except ValueError as error:
        raise StartError(f"cannot trace: {error}") from error
