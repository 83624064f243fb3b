"""The end of a message about an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 12


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` where a known name is near, or else a list of the known ones.

    Starts with a space, so that it goes straight after a sentence.
    """
    names = [str(each) for each in known]
    folded = {each.casefold(): each for each in reversed(names)}
    close = get_close_matches(name.casefold(), folded, n=1)
    if close:
        return f" Did you mean {folded[close[0]]!r}?"
    if not names:
        return " There are none."
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f" Known: {', '.join(names[:MOST])}{more}."
