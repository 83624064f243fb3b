"""What can go wrong, in terms of the domain; `rpc.status` maps each class to a status.

PellucidError
├── InvalidInput          a field is wrong: `field` says which, the message what to do
├── NotFound              no model, version, class, method or example of that name
├── OutsideRoot           a URI that leads out of the allowed roots
├── ModelUnavailable      a known model that cannot be served now
├── NotServed             part of the contract that this server does not answer yet
├── EvaluationFailed      an evaluation ended with an error; the message has it
├── Stopping              the server stops before there is an answer: ask again
├── Overloaded            no room in a queue: try again after `retry_after` seconds
├── DeadlineExceeded      the caller's time ran out
├── Cancelled             the caller hung up
└── InferenceFailed       the device or the model failed on a request it accepted
"""


class PellucidError(Exception):
    """A failure that a caller may see; `field` is the path of the request's field."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(PellucidError):
    """A field of the request is wrong."""


class NotFound(PellucidError):
    """Nothing of that name is known."""


class OutsideRoot(PellucidError):
    """A URI leads out of the allowed roots."""


class ModelUnavailable(PellucidError):
    """The model is known but cannot be served now."""


class NotServed(PellucidError):
    """The contract has it, this server does not."""


class EvaluationFailed(PellucidError):
    """An evaluation ended with an error."""


class Stopping(PellucidError):
    """The server stops before there is an answer."""


class Overloaded(PellucidError):
    """No room: try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(PellucidError):
    """The caller's time ran out."""


class Cancelled(PellucidError):
    """The caller hung up."""


class InferenceFailed(PellucidError):
    """The device or the model failed on a request that was accepted."""
