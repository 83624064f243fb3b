"""What became of an evaluation whose stream ended without its report."""

from pellucid.errors import CancelledError, FailedPreconditionError, UnavailableError
from pellucid.evaluations import Evaluation, EvaluationReport, EvaluationState


def settled(found: Evaluation) -> EvaluationReport | None:
    """The report; `None` where the evaluation goes on.

    Raises:
        FailedPreconditionError: it failed; CancelledError: it was stopped.
    """
    if found.state is EvaluationState.CANCELLED:
        raise CancelledError(f"evaluation {found.name} was cancelled")
    if found.state is EvaluationState.FAILED:
        raise FailedPreconditionError(f"evaluation {found.name} failed: {found.reason}")
    return found.report if found.state is EvaluationState.SUCCEEDED else None


def broken(name: str) -> UnavailableError:
    """The error where nothing else tells why a stream ended."""
    return UnavailableError(f"the stream of evaluation {name} ended without its report")
