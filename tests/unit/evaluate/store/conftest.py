"""Stores on both databases; PostgreSQL is a real one, started for these tests."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, NewEvaluation, Store, open_store
from pellucid_server.evaluate.store.schema import metadata
from pellucid_server.types import Category

LEASE = 60.0
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of its own is made there


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture(scope="session")
def empty(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Makes an empty database of a kind; SQLite's in memory, where fsync takes no time."""
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:

        def make(kind: str) -> str:
            if kind == "sqlite":
                return f"sqlite:///{folder}/{uuid.uuid4().hex}.db"
            return str(request.getfixturevalue("postgres").create())

        yield make


@pytest.fixture
def url(kind: str, empty: Callable[[str], str]) -> str:
    """An empty database."""
    return empty(kind)


@pytest.fixture(scope="session")
def shared(empty: Callable[[str], str]) -> Iterator[Callable[[str], Store]]:
    """One store of each kind, whose tables are made once."""
    with ExitStack() as stack:

        @cache
        def opened(kind: str) -> Store:
            return stack.enter_context(closing(open_store(empty(kind))))

        yield opened


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    """The clock of stores on SQLite."""
    return Clock()


@pytest.fixture
def store(kind: str, shared: Callable[[str], Store], clock: Clock) -> Store:
    """A store without an evaluation."""
    fresh = Store(shared(kind)._engine, clock, patience=20)
    fresh._write(_clear)
    return fresh


def _clear(connection: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))


@pytest.fixture(scope="session")
def new() -> NewEvaluation:
    """What to create."""
    return NewEvaluation(
        request='{"dataset":"photos"}',
        model_name="net",
        model_version="3",
        task="classification",
        model_digest="abc",
        precision="f32",
        tenant="red",
        total=10,
    )


MakeRow = Callable[..., Row]
MakeRows = Callable[[int, int], list[Row]]


def _row(index: int, /, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "index": index,
        "path": f"photos/{index}.jpg",
        "digest": f"{index:032x}",
        "location": f"val.txt:{index + 1}",
        "predicted": Category(index % 3, f"class {index % 3}", (index * 37 % 101) / 101),
        "annotated": Category(index % 2, f"class {index % 2}", (index * 11 % 101) / 101),
        "rank": 1 + index % 5,
        "correct": index % 4 != 0,
        "score": (index * 29 % 97) / 97,
        "missed": index % 3,
        "extra": index % 2,
        "detail": {"boxes": [[1.5, index]], "name": "Ünï"},
        "seconds": 0.1 * index,
    }
    return Row(**{**values, **changes})


@pytest.fixture(scope="session")
def make_row() -> MakeRow:
    """Makes a row with a value in every field, some of them changed."""
    return _row


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """Makes the rows from one index to another."""
    return lambda start, stop: [_row(index) for index in range(start, stop)]


@pytest.fixture
def claimed(store: Store, new: NewEvaluation) -> Evaluation:
    """A new evaluation that runs."""
    store.create(new)
    found = store.claim("me", LEASE)
    assert found is not None
    return found
