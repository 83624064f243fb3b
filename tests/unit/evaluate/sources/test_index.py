import random
import sqlite3

import pytest

from pellucid_server.errors import Overloaded
from pellucid_server.evaluate.sources.index import Index
from pellucid_server.evaluate.sources.limits import Limits


def test_names_come_sorted_page_by_page() -> None:
    """More than a page of them, added in any order; by code points, as Python sorts."""
    names = [f"{number}" for number in range(2500)] + ["Ä", "z", "日本", "\U0001f600"]
    shuffled = random.Random(1).sample(names, len(names))  # noqa: S311 # test data
    index = Index(Limits())
    for name in shuffled:
        index.add(f"a/{name}", 1, b"")
        index.add(f"{name}/b", 1, b"")
    assert list(index.files("a")) == sorted(names)
    assert list(index.folders("")) == sorted([*names, "a"])
    assert (index.count, index.total) == (5008, 5008)


def test_wildcards_are_characters() -> None:
    index = Index(Limits())
    index.add("a%/1", 1, b"x")
    index.add("ab/2", 1, b"y")
    assert list(index.files("a%")) == ["1"]
    assert index.find("a_/2") is None


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(Limits())
    monkeypatch.setattr(index, "_database", _Full())
    with pytest.raises(Overloaded, match="temporary folder: database or disk is full"):
        index.add("a", 1, b"")


class _Full:
    def execute(self, *_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")
