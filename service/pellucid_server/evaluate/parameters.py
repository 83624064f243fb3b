"""Parameters of metrics, which come as texts."""

from collections.abc import Callable
from typing import TypeVar

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.evaluator import Options

T = TypeVar("T")


def whole(options: Options, name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        InvalidInput: it is none.
    """

    def read(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError
        return value

    return _read(options, name, default, read, f"a whole number from {least} to {most}")


def choice(options: Options, name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of some names.

    Raises:
        InvalidInput: it is another.
    """

    def read(text: str) -> str:
        return allowed[allowed.index(text)]

    return _read(options, name, default, read, " or ".join(allowed))


def _read(options: Options, name: str, default: T, read: Callable[[str], T], expected: str) -> T:
    text = options.parameters.get(name)
    if text is None:
        return default
    try:
        return read(text)
    except ValueError:
        raise InvalidInput(
            f"{name} is {text!r}: give {expected}", field=f"parameters[{name}]"
        ) from None
