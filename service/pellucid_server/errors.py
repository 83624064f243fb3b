"""What can go wrong, in terms of the domain; `rpc.status` maps each class to a status.

PellucidError
├── InvalidInput          a field is wrong: `field` says which, the message what to do
├── NotFound              no model, version, class, method or example of that name
├── OutsideRoot           a URI that leads out of the allowed roots
├── Unauthenticated       who calls is not known, and must be
├── PermissionDenied      who calls is known, and may not do this
├── ProviderUnavailable   the identity provider does not answer: ask again
├── ModelUnavailable      a known model that cannot be served now
├── NotServed             part of the contract that this server does not answer yet
├── EvaluationFailed      an evaluation ended with an error; the message has it
├── Stopping              the server stops before there is an answer: ask again
├── Overloaded            no room in a queue: try again after `retry_after` seconds
├── DeadlineExceeded      the caller's time ran out
├── Cancelled             the caller hung up
├── DeviceUnavailable     no device answers: ask again
└── InferenceFailed       the device or the model failed on a request it accepted
"""


class PellucidError(Exception):
    """A failure that a caller may see.

    `field` is the path of the request's field; `reason`, where a limit refused the call, is that
    limit's name in the metric of refusals.
    """

    def __init__(self, message: str, *, field: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.reason = reason


class InvalidInput(PellucidError):
    """A field of the request is wrong."""


class NotFound(PellucidError):
    """Nothing of that name is known."""


class OutsideRoot(PellucidError):
    """A URI leads out of the allowed roots."""


class Unauthenticated(PellucidError):
    """The caller must show who it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="unauthenticated")


class PermissionDenied(PellucidError):
    """The caller may not do this."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message, field=field, reason="permission_denied")


class ProviderUnavailable(PellucidError):
    """The identity provider cannot be asked now."""


class ModelUnavailable(PellucidError):
    """The model is known but cannot be served now."""


class NotServed(PellucidError):
    """The contract has it, this server does not."""


class EvaluationFailed(PellucidError):
    """An evaluation ended with an error."""


class Stopping(PellucidError):
    """The server stops before there is an answer: try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 0.5) -> None:
        super().__init__(message, reason="draining")
        self.retry_after = retry_after


class Overloaded(PellucidError):
    """No room: try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class DeadlineExceeded(PellucidError):
    """The caller's time ran out."""


class Cancelled(PellucidError):
    """The caller hung up."""


class DeviceUnavailable(PellucidError):
    """No device takes work now."""


class InferenceFailed(PellucidError):
    """The device or the model failed on a request that was accepted."""
