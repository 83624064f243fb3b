"""JSON files of any length, read an element at a time."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files, failure

CHUNK = 2**18
LONGEST = 2**24
"""Characters of an element."""
SPACE = re.compile(r"[ \t\r\n]*")
GOES_ON = ("", *".eE+-0123456789")
"""What behind a number may mean that it is cut off at the end of the window; empty: the end."""
DECODER = json.JSONDecoder()


class Part(NamedTuple):
    """An element of an array of the top object, or what else stands under a key."""

    key: str
    value: Any
    line: int


def parts(files: Files, path: str) -> Iterator[Part]:
    """Reads the top object of a file; as much is held as the longest element takes.

    Raises:
        InvalidInput: not JSON, or not an object, from some line on; an element is too long.
    """
    with files.open(path) as file:
        text = _Text(file, path)
        try:
            yield from _object(text)
        except UnicodeDecodeError:
            raise text.wrong("not UTF-8") from None
        except OSError as error:
            raise failure(error, path, files.name) from error


def _object(text: "_Text") -> Iterator[Part]:
    text.take("{")
    separator = "}" if text.peek() == "}" else ","
    while separator == ",":
        key = text.value()
        if not isinstance(key, str):
            raise text.wrong("a key is not a text")
        text.take(":")
        if text.peek() == "[":
            yield from _array(text, key)
        else:
            line = text.line
            yield Part(key, text.value(), line)
        separator = text.take(",}")


def _array(text: "_Text", key: str) -> Iterator[Part]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    separator = ","
    while separator == ",":
        text.peek()
        line = text.line
        yield Part(key, text.value(), line)
        separator = text.take(",]")


class _Text:
    """A window on the text; `line` is that of the place where it is read."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.line = 1
        self._file = file
        self._path = path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._window = ""
        self._at = 0

    def wrong(self, problem: str) -> InvalidInput:
        return InvalidInput(f"{self._path}:{self.line}: the JSON is broken: {problem}", field=FIELD)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            match = SPACE.match(self._window, self._at)
            self._move(match.end() if match else self._at)
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Goes past one of the characters that are expected."""
        found = self.peek()
        if not found or found not in expected:
            what = f"{found!r}" if found else "the end"
            raise self.wrong(f"{what} in place of {' or '.join(expected)}")
        self._move(self._at + 1)
        return found

    def value(self) -> Any:
        """Goes past a value."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._window, self._at)
            except RecursionError:
                raise self.wrong("it is too deep") from None
            except ValueError as error:
                if not self._more():
                    raise self.wrong(str(error)) from error
                continue
            if self._window[end : end + 1] not in GOES_ON or not self._more():
                self._move(end)
                return value

    def _move(self, end: int) -> None:
        self.line += self._window.count("\n", self._at, end)
        self._at = end

    def _more(self) -> bool:
        """Reads on, twice as much of an element that does not end; False: at the end."""
        pending = self._window[self._at :]
        if len(pending) > LONGEST:
            raise self.wrong(f"an element is longer than {LONGEST} characters, or does not end")
        data = self._file.read(max(CHUNK, len(pending)))
        self._window, self._at = pending + self._decode(data, not data), 0
        return bool(data)
