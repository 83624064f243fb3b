import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from pellucid_server.errors import Cancelled, DeadlineExceeded, PellucidError


class Span(Protocol):
    """What a trace tells of some work; times are on `time.monotonic`'s clock, in seconds."""

    @property
    def trace_id(self) -> str:
        """Of the trace, as logs have it; "" where there is none."""

    @property
    def parent(self) -> str:
        """This span as a W3C `traceparent`, for work that comes after it."""

    def record(
        self,
        name: str,
        start: float,
        end: float,
        error: BaseException | None = None,
        **facts: str | float,
    ) -> None:
        """A part of the work that has ended."""

    def child(self, name: str, **facts: str | float) -> "AbstractContextManager[Span]":
        """A part of the work, which has parts itself."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a client: who asks, until when, and whether it hung up.

    `deadline` is on `time.monotonic`'s clock.
    """

    request_id: str = ""
    tenant: str = ""
    deadline: float = math.inf
    cancelled: threading.Event = field(default_factory=threading.Event)
    span: Span | None = None
    """Set where calls are traced."""
    stopped: list[PellucidError] = field(default_factory=list)
    """Why the server gave it up, where it did."""

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without a deadline."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Ends the work where nobody waits for it any more.

        Raises:
            Cancelled: the caller hung up.
            DeadlineExceeded: the deadline passed.
            PellucidError: why the server gave it up, where it did.
        """
        if self.cancelled.is_set():
            raise self.reason_of(Cancelled("the caller hung up"))
        if self.remaining <= 0:
            raise DeadlineExceeded("the deadline passed before the work was done")

    def stop(self, reason: PellucidError) -> None:
        """Gives it up: its work ends as if the caller hung up, but the caller is told why."""
        self.stopped.append(reason)
        self.cancelled.set()

    def reason_of(self, error: BaseException) -> BaseException:
        """Why the call really ends where its work was `Cancelled`."""
        return self.stopped[0] if self.stopped and isinstance(error, Cancelled) else error

    def part(self, name: str, **facts: str | float) -> AbstractContextManager["Call"]:
        """The call as a part of its work sees it, with a span of its own where it is traced."""
        return self._traced(self.span, name, facts) if self.span else nullcontext(self)

    @contextmanager
    def _traced(self, whole: Span, name: str, facts: Mapping[str, str | float]) -> Iterator["Call"]:
        with whole.child(name, **facts) as span:
            yield replace(self, span=span)
