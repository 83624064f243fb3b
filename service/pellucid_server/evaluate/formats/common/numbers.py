import math

from pellucid_server.evaluate.formats.common.rows import BadRow


def number(given: str | float) -> float:
    """A finite number, from its digits or as it is.

    Raises:
        BadRow: it is none.
    """
    text = str(given)
    try:
        found = float(given)
    except (ValueError, OverflowError):
        found = math.nan
    if not text.strip():
        raise BadRow("a number is missing")
    # Python reads 1_000, which no data set means.
    if not math.isfinite(found) or "_" in text:
        raise BadRow(f"{text[:80]!r} is not a finite number")
    return found
