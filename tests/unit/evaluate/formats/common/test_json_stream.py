import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.formats.common import json_stream
from pellucid_server.evaluate.formats.common.json_stream import Part, parts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


def expected(whole: dict[str, Any]) -> list[tuple[str, Any]]:
    """Arrays an element at a time, the rest whole."""
    return [
        (key, each)
        for key, value in whole.items()
        for each in (value if isinstance(value, list) else [value])
    ]


@given(whole=OBJECTS, indent=st.none() | st.integers(0, 3), ascii_only=st.booleans())
def test_any_object_is_read_as_the_standard_library_reads_it(
    memory: Any, whole: Any, indent: Any, ascii_only: Any
) -> None:
    """Chunks of three bytes put their ends at every place."""
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", 3)
        found = list(parts(memory({"a.json": text.encode("utf-8", "surrogatepass")}), "a.json"))
    assert [(part.key, part.value) for part in found] == expected(whole)


def test_parts_know_the_lines_that_they_begin_in(memory: Any) -> None:
    text = '{\n"a": [\n1,\n\n{"x":\n2}],\n"b": 5}'
    assert list(parts(memory({"a.json": text}), "a.json")) == [
        Part("a", 1, 3),
        Part("a", {"x": 2}, 5),
        Part("b", 5, 7),
    ]


def test_the_error_names_the_line(memory: Any) -> None:
    with pytest.raises(InvalidInput, match=r"a\.json:3: the JSON is broken") as caught:
        list(parts(memory({"a.json": '{"a": [\n1,\n}'}), "a.json"))
    assert caught.value.field == "dataset"


def test_what_comes_before_the_break_is_given(memory: Any) -> None:
    stream = parts(memory({"a.json": '{"a": [1, 2, nothing'}), "a.json")
    assert [next(stream).value, next(stream).value] == [1, 2]
    with pytest.raises(InvalidInput):
        next(stream)


@pytest.mark.parametrize("data", [b'{"a": "\xff"}', b'{"a": "\xc3'])
def test_what_is_not_utf_8_is_refused(data: bytes, memory: Any) -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        list(parts(memory({"a.json": data}), "a.json"))


def test_an_element_without_end_is_refused_at_the_limit(
    memory: Any, produced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "LONGEST", 2**20)
    endless = produced(iter(lambda: b"x" * 1000, b""))
    endless._rest = b'{"a": "'
    with pytest.raises(InvalidInput, match="longer than 1048576"):
        list(parts(memory({"a.json": lambda: endless}), "a.json"))
    assert endless.read_bytes < 2**23


@pytest.mark.parametrize("number", ["1" * 5000, "-" * 10])
def test_numbers_that_python_does_not_take_are_broken_json(number: str, memory: Any) -> None:
    with pytest.raises(InvalidInput, match="the JSON is broken"):
        list(parts(memory({"a.json": f'{{"a": {number}}}'}), "a.json"))
