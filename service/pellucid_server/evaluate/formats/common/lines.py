"""Lists: texts of a row a line, which may be long, damaged, or endless."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files, failure

LONGEST = 2**16
"""Bytes of a line."""
MOST_NAMES = 100_000
BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line that is not blank, from 1; `problem` says why it has no text."""

    number: int
    text: str
    problem: str = ""


def lines(files: Files, path: str) -> Iterator[Line]:
    """The lines of a file, read as they are asked for; raises as `Files.open`."""
    with files.open(path) as file:
        try:
            for number, data in enumerate(iter(lambda: _next(file), b""), start=1):
                line = _line(number, data.removeprefix(BOM) if number == 1 else data)
                if line.problem or line.text.strip():
                    yield line
        except OSError as error:
            raise failure(error, path, files.name) from error


def _next(file: BinaryIO) -> bytes:
    """A line, of which at most one byte more than `LONGEST` is kept."""
    data = rest = file.readline(LONGEST + 1)
    while len(rest) > LONGEST and not rest.endswith(b"\n"):
        rest = file.readline(LONGEST + 1)
    return data


def _line(number: int, data: bytes) -> Line:
    if len(data) > LONGEST:
        return Line(number, "", f"the line is longer than {LONGEST} bytes")
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return Line(number, "", "the line is not UTF-8")
    return Line(number, "", "the line has a NUL") if "\0" in text else Line(number, text)


def names(files: Files, path: str) -> tuple[str, ...]:
    """A short list, a name a line.

    Raises:
        InvalidInput: a line cannot be read, or there are too many.
    """
    found: list[str] = []
    for line in lines(files, path):
        if line.problem or len(found) == MOST_NAMES:
            problem = line.problem or f"there are more than {MOST_NAMES} names"
            raise InvalidInput(f"{path}:{line.number}: {problem}", field=FIELD)
        found.append(line.text.strip())
    return tuple(found)


def first_list(files: Files, paths: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the first of these files that there is; none: empty."""
    return next((names(files, path) for path in paths if files.has(path)), ())
