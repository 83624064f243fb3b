import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import exc

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import (
    Evaluation,
    NewEvaluation,
    State,
    Store,
    StoreFull,
    StoreUnavailable,
    open_store,
)
from pellucid_server.evaluate.store.faults import persistently

MakeRow = Callable[..., Row]
MakeRows = Callable[[int, int], list[Row]]


def operational(message: str = "database is locked") -> exc.OperationalError:
    return exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError(message))


def failing(errors: list[exc.SQLAlchemyError]) -> Callable[[], str]:
    """Work that fails with each of these, then is done."""
    remaining: Iterator[exc.SQLAlchemyError] = iter(errors)

    def work() -> str:
        for error in remaining:
            raise error
        return "done"

    return work


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between tries, which pass at once."""
    made: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        made.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return made


def test_what_passes_is_tried_again_with_longer_pauses(pauses: list[float]) -> None:
    random.seed(1)
    assert persistently(failing([operational()] * 8), patience=30) == "done"
    limits = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, limits, strict=True))


def test_patience_ends(pauses: list[float]) -> None:
    """With the database's own words."""
    with pytest.raises(StoreUnavailable, match="does not answer: database is locked"):
        persistently(failing([operational()] * 1000), patience=30)
    assert 25 <= sum(pauses) <= 30


def test_who_is_hurried_tries_no_more(pauses: list[float]) -> None:
    """From the next failure on."""
    with pytest.raises(StoreUnavailable):
        persistently(failing([operational()] * 9), 30, lambda: len(pauses) == 2)
    assert len(pauses) == 2


def test_a_store_that_is_hurried_does_not_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise operational("away")

    store.hurry()
    monkeypatch.setattr(store, "_engine", SimpleNamespace(begin=away))
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match="away"):
        store.get("evaluations/x")
    assert time.monotonic() - start < 10


def test_a_lost_connection_passes_whatever_its_error(pauses: list[float]) -> None:
    lost = exc.InternalError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)
    assert persistently(failing([lost]), patience=30) == "done"
    assert len(pauses) == 1


def test_a_pool_without_a_free_connection_passes(pauses: list[float]) -> None:
    assert persistently(failing([exc.TimeoutError("pool")]), patience=30) == "done"
    assert len(pauses) == 1


@pytest.mark.parametrize("kind", [exc.IntegrityError, exc.ProgrammingError, exc.DataError])
def test_our_own_mistakes_are_not_tried_again(
    pauses: list[float], kind: type[exc.DBAPIError]
) -> None:
    with pytest.raises(kind):
        persistently(failing([kind("INSERT", {}, Exception("twice"))]), patience=30)
    assert pauses == []


def test_damage_is_not_tried_again(pauses: list[float]) -> None:
    damage = exc.DatabaseError("SELECT 1", {}, sqlite3.DatabaseError("malformed"))
    with pytest.raises(StoreUnavailable, match="malformed"):
        persistently(failing([damage]), patience=30)
    assert pauses == []


class _Full(Exception):
    sqlstate = "53100"


class _NoSpace(OSError):
    def __init__(self) -> None:
        super().__init__(28, "No space left on device")


@pytest.mark.parametrize("cause", [_Full(), _NoSpace()])
def test_a_full_disk_is_told_at_once(pauses: list[float], cause: Exception) -> None:
    with pytest.raises(StoreFull, match="free space"):
        persistently(failing([exc.OperationalError("INSERT", {}, cause)]), patience=30)
    assert pauses == []


def _limit(store: Store, spare: int) -> None:
    """Lets the file grow by so many pages only."""
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + spare}")


def test_a_full_disk_leaves_whole_chunks_and_room_lets_it_go_on(
    tmp_path: Path, new: NewEvaluation, make_row: MakeRow
) -> None:
    """Nothing half written: rows, columns and progress agree, before and after."""
    store = open_store(f"sqlite:///{tmp_path}/store.db", patience=5)
    name = store.create(new).name
    claimed = store.claim("me", 60)
    assert claimed is not None
    rows = [make_row(index, path="x" * 500) for index in range(1000)]
    _limit(store, 20)
    with pytest.raises(StoreFull):
        _append_from(store, name, claimed.token, rows)
    done = store.next_index(name)
    assert 0 < done < 1000
    assert done % 10 == 0
    assert [row.index for row in store.rows(name)] == list(range(done))
    assert len(store.examples(name, page_size=1000).items) == done
    _limit(store, 10_000)
    _append_from(store, name, claimed.token, rows)
    assert list(store.rows(name)) == rows
    assert list(store.examples(name, page_size=1000).items) == rows
    store.close()


def _append_from(store: Store, name: str, token: int, rows: list[Row], chunk: int = 10) -> None:
    for start in range(store.next_index(name), len(rows), chunk):
        store.append(name, token, rows[start : start + chunk])


def test_an_evaluation_outlives_a_crash_of_postgres(
    postgres: Any, new: NewEvaluation, make_rows: MakeRows
) -> None:
    """Stopped twice in the middle of appending: every row is there once."""
    store = open_store(postgres.create(), patience=30)
    name = store.create(new).name
    claimed = store.claim("me", 600)
    assert claimed is not None
    rows, half = make_rows(0, 600), Event()

    def work() -> Evaluation:
        for start in range(0, len(rows), 5):
            store.append(name, claimed.token, rows[start : start + 5])
            if start >= 100:
                half.set()
        return store.finish(name, claimed.token, State.SUCCEEDED, report="{}")

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(work)
        assert half.wait(30)
        for _ in range(2):
            postgres.stop()
            postgres.start()
        ended = running.result(60)
    assert (ended.state, ended.done) == (State.SUCCEEDED, 600)
    assert list(store.rows(name)) == rows
    assert list(store.examples(name, page_size=1000).items) == rows
    store.close()


def test_a_postgres_that_stays_away_fails_with_its_reason_and_may_be_resumed(
    postgres: Any, new: NewEvaluation, make_rows: MakeRows
) -> None:
    store = open_store(postgres.create(), patience=0.3)
    name = store.create(new).name
    claimed = store.claim("me", 600)
    assert claimed is not None
    store.append(name, claimed.token, make_rows(0, 5))
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.append(name, claimed.token, make_rows(5, 10))
    finally:
        postgres.start()
    assert store.next_index(name) == 5
    store.append(name, claimed.token, make_rows(5, 10))
    assert list(store.rows(name)) == make_rows(0, 10)
    store.close()


class _Lossy(Store):
    """Commits, loses the answer, and so does everything again."""

    def _transaction(self, engine: Any, work: Any) -> Any:
        super()._transaction(engine, work)
        return super()._transaction(engine, work)


def test_a_commit_whose_answer_got_lost_is_not_done_twice(
    store: Store, new: NewEvaluation, make_rows: MakeRows
) -> None:
    """Every transaction is run twice, as after a connection that broke during COMMIT."""
    lossy = _Lossy(store._engine, store._clock)
    created = lossy.create(new)
    assert len(store.evaluations().items) == 1
    claimed = store.claim("me", 60)
    assert claimed is not None
    lossy.append(created.name, claimed.token, make_rows(0, 4))
    lossy.append(created.name, claimed.token, make_rows(4, 8))
    lossy.renew(created.name, claimed.token, 60)
    assert lossy.finish(created.name, claimed.token, State.FAILED, reason="x").reason == "x"
    assert lossy.resume(created.name).state == State.PENDING
    assert lossy.request_cancel(created.name).state == State.CANCELLED
    assert list(store.rows(created.name)) == make_rows(0, 8)
