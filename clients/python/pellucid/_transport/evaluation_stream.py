"""Running evaluations and optimisations, for synchronous code."""

from collections.abc import Callable
from typing import Any, Protocol

from pellucid._transport.calls import Attempt
from pellucid._transport.events import EventStream
from pellucid._transport.patience import Patience
from pellucid._transport.settling import broken, settled
from pellucid._wire import evaluations, optimizations
from pellucid.errors import CancelledError, InternalError, PellucidError, UnavailableError
from pellucid.evaluations import (
    Evaluation,
    EvaluationEvent,
    EvaluationProgress,
    EvaluationReport,
)
from pellucid.models import ModelVersion, OptimizationProgress


class Calls(Protocol):
    """What a stream asks of its client beside its own call."""

    def evaluation(self, name: str) -> Evaluation: ...

    def cancel_evaluation(self, name: str) -> Evaluation: ...

    def _watch(self, name: str, attempt: Attempt) -> Any: ...


class EvaluationStream(EventStream[EvaluationEvent]):
    """A running evaluation: iterate over its events, or wait for its `result`.

    Hanging up, as leaving the `with` block does, lets it go on; `cancel` stops it. Where the
    connection breaks it is joined again.
    """

    def __init__(self, start: Callable[[], Any], attempt: Attempt, calls: Calls) -> None:
        super().__init__(start, attempt, evaluations.event)
        self._calls = calls
        self._accepted: Evaluation | None = None
        self._unread = False
        self._ended = False
        self._patience = Patience(attempt.endpoint.attempts > 1)

    def accepted(self) -> Evaluation:
        """What will be done: waits for the server to accept it."""
        if self._accepted is None:
            next(self)
            self._unread = True
        if self._accepted is None:
            raise InternalError("the server did not say which evaluation it is")
        return self._accepted

    def result(
        self, progress: Callable[[EvaluationProgress], object] | None = None
    ) -> EvaluationReport:
        """The report, once it is there. `progress` is called back.

        Raises:
            FailedPreconditionError: it failed; CancelledError: it was stopped.
        """
        with self:
            for event in self:
                if isinstance(event, EvaluationReport):
                    return event
                if isinstance(event, EvaluationProgress) and progress:
                    progress(event)
        raise InternalError("the server ended without a report")

    def cancel(self) -> Evaluation:
        """Stops the evaluation; who waits for an event gets a CancelledError."""
        return self._calls.cancel_evaluation(self.accepted().name)

    def __next__(self) -> EvaluationEvent:
        if self._unread and self._accepted is not None:
            self._unread = False
            return self._accepted
        while not self._ended:
            event = self._event()
            self._patience.renew()
            self._ended = isinstance(event, EvaluationReport)
            if not isinstance(event, Evaluation):
                return event
            if self._accepted is None:
                self._accepted = event
                return event
        raise StopIteration

    def _event(self) -> EvaluationEvent:
        while True:
            try:
                return super().__next__()
            except StopIteration:
                lost: PellucidError = broken(self._accepted.name if self._accepted else "")
            except (UnavailableError, CancelledError) as error:
                lost = error
            report = self._joined(lost)
            if report is not None:
                return report

    def _joined(self, lost: PellucidError) -> EvaluationReport | None:
        """The report, or the events again from where it stands."""
        if self._accepted is None:
            raise lost
        while True:
            if self._closed.is_set() or self._closed.wait(self._patience.delay_after(lost)):
                raise lost
            try:
                report = settled(self._calls.evaluation(self._accepted.name))
            except UnavailableError as error:
                lost = error
                continue
            if report is None:
                self._call = self._calls._watch(self._accepted.name, self._attempt)  # noqa: SLF001 - the client's own
            return report


class OptimizationStream(EventStream[OptimizationProgress | ModelVersion]):
    """A running optimisation: iterate over its events, or wait for its `result`.

    Closing it, or leaving its `with` block, stops the server's work.
    """

    def __init__(self, start: Callable[[], Any], attempt: Attempt) -> None:
        super().__init__(start, attempt, optimizations.event)

    cancel = EventStream.close

    def result(
        self, progress: Callable[[OptimizationProgress], object] | None = None
    ) -> ModelVersion:
        """The new version. `progress` is called back."""
        with self:
            for event in self:
                if isinstance(event, ModelVersion):
                    return event
                if progress:
                    progress(event)
        raise InternalError("the server ended without a new version")
