import math

from google.protobuf.duration_pb2 import Duration

from pellucid_server.errors import InvalidInput

NANOS = 10**9


def encode_duration(seconds: float) -> Duration | None:
    """A duration to the nanosecond; None where an estimate is not finite."""
    if not math.isfinite(seconds):
        return None
    whole, nanos = divmod(round(seconds * NANOS), NANOS)
    return Duration(seconds=whole, nanos=nanos)


def decode_duration(duration: Duration, field: str) -> float:
    """Seconds, from 0 on."""
    seconds = duration.seconds + duration.nanos / NANOS
    if seconds < 0:
        raise InvalidInput(f"a duration must not be negative, not {seconds:g} s", field=field)
    return seconds
