import io
from typing import Any

import pytest

from pellucid_server.errors import InvalidInput, Overloaded
from pellucid_server.evaluate.formats.common.lines import LONGEST, Line, lines, names


class Failing(io.BytesIO):
    """A file whose storage goes away."""

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line:
            raise OSError(5, "Input/output error")
        return line


def read(memory: Any, data: bytes) -> list[Line]:
    return list(lines(memory({"a.txt": data}), "a.txt"))


def test_blank_lines_are_counted_and_left_out(memory: Any) -> None:
    assert read(memory, b"a\n\n  \r\nb") == [Line(1, "a"), Line(4, "b")]


def test_a_line_too_long_is_reported_and_not_kept(memory: Any) -> None:
    data = b"x" * (10 * LONGEST) + b"\nnext\n" + b"y" * LONGEST + b"\nlast"
    first, second, third, last = read(memory, data)
    assert (first.number, second) == (1, Line(2, "next"))
    assert "longer" in first.problem
    assert "longer" in third.problem
    assert last == Line(4, "last")


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, 2 * LONGEST + 1])
def test_the_limit_does_not_shift_the_count_of_lines(size: int, memory: Any) -> None:
    found = read(memory, b"x" * size + b"\nnext\n")
    assert len(found) == 2
    assert found[1] == Line(2, "next")


def test_names_are_stripped(memory: Any) -> None:
    assert names(memory({"a.txt": " cat \r\n\tdog\n"}), "a.txt") == ("cat", "dog")


def test_too_many_names_are_refused(memory: Any) -> None:
    with pytest.raises(InvalidInput, match="more than 100000 names"):
        names(memory({"a.txt": "a\n" * 100_001}), "a.txt")


def test_storage_that_fails_is_not_taken_for_the_end_of_the_list(memory: Any) -> None:
    stream = lines(memory({"a.txt": lambda: Failing(b"a\n")}), "a.txt")
    assert next(stream) == Line(1, "a")
    with pytest.raises(Overloaded):
        next(stream)
