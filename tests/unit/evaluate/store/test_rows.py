import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, LeaseLost, NewEvaluation, Store, rows
from pellucid_server.evaluate.store.records import COLUMNS, record_of, row_of
from pellucid_server.types import Category

MakeRow = Callable[..., Row]
MakeRows = Callable[[int, int], list[Row]]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.floats(allow_nan=False)
CATEGORIES = st.none() | st.builds(
    Category, st.integers(-1, 2**31 - 1), TEXT, st.floats(0, 1) | st.just(math.inf)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.builds(
    Row,
    index=st.integers(0, 2**62),
    path=TEXT,
    digest=TEXT,
    location=TEXT,
    predicted=CATEGORIES,
    annotated=CATEGORIES,
    rank=st.integers(0, 2**31 - 1),
    correct=st.none() | st.booleans(),
    score=st.none() | NUMBERS,
    missed=st.integers(0, 2**31 - 1),
    extra=st.integers(0, 2**31 - 1),
    detail=st.dictionaries(TEXT, JSON, max_size=3),
    seconds=st.floats(0, 1e6),
    reason=TEXT,
)


@given(ROWS)
def test_a_row_is_the_same_after_its_way_through_a_record(row: Row) -> None:
    record = record_of(row)
    assert row_of([record[column.name] for column in COLUMNS]) == row


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS)
def test_a_row_is_the_same_after_its_way_through_a_database(
    store: Store, new: NewEvaluation, row: Row
) -> None:
    store.create(new)
    claimed = store.claim("me", 60)
    assert claimed is not None
    store.append(claimed.name, claimed.token, [row])
    assert list(store.rows(claimed.name)) == [row]
    assert store.row(claimed.name, row.index) == row
    with_bad = store.examples(claimed.name, page_size=1).items
    assert with_bad == (() if row.reason else (row,))


def test_values_of_numpy_become_pythons(
    store: Store, claimed: Evaluation, make_row: MakeRow
) -> None:
    odd = make_row(
        3, index=np.int64(3), rank=np.int32(2), correct=np.bool_(True), score=np.float32(0.5)
    )
    store.append(claimed.name, claimed.token, [odd])
    assert list(store.rows(claimed.name)) == [make_row(3, rank=2, correct=True, score=0.5)]


def test_what_is_not_a_number_is_no_score(
    store: Store, claimed: Evaluation, make_row: MakeRow
) -> None:
    odd = make_row(0, score=math.nan, predicted=Category(1, "one", math.nan))
    store.append(claimed.name, claimed.token, [odd])
    (row,) = store.rows(claimed.name)
    assert row.score is None
    assert row.predicted is not None
    assert math.isnan(row.predicted.confidence)


@pytest.mark.parametrize("path", ["half \ud800 a character", "a\0b"])
def test_what_is_no_text_is_refused_and_nothing_written(
    store: Store, claimed: Evaluation, make_row: MakeRow, path: str
) -> None:
    with pytest.raises(InvalidInput, match="row 1: path") as raised:
        store.append(claimed.name, claimed.token, [make_row(0), make_row(1, path=path)])
    assert raised.value.field == "path"
    assert store.get(claimed.name).done == 0


def test_append_commits_rows_and_progress(
    store: Store, claimed: Evaluation, make_row: MakeRow
) -> None:
    """Indices may leave some out, as those of a subset do."""
    chunk = [make_row(0), make_row(5, reason="no such class"), make_row(9)]
    after = store.append(claimed.name, claimed.token, chunk)
    assert (after.done, after.bad, after.next_index) == (3, 1, 10)
    assert store.next_index(claimed.name) == 10
    assert list(store.rows(claimed.name)) == chunk
    assert list(store.rows(claimed.name, 6)) == chunk[2:]


def test_rows_come_in_order_some_at_a_time(
    store: Store, claimed: Evaluation, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "READ_AT_ONCE", 4)
    for start in range(0, 12, 3):
        store.append(claimed.name, claimed.token, make_rows(start, start + 3))
    for start in (0, 1, 4, 11, 12, 99):
        assert list(store.rows(claimed.name, start)) == make_rows(start, 12)


def test_a_row_that_is_not_there_is_not_found(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    store.append(claimed.name, claimed.token, make_rows(3, 4))
    with pytest.raises(NotFound) as raised:
        store.row(claimed.name, 2)
    assert raised.value.field == "index"


def test_a_repeated_chunk_is_left_as_it_is(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    store.append(claimed.name, claimed.token, make_rows(0, 4))
    before = store.append(claimed.name, claimed.token, make_rows(4, 8))
    assert store.append(claimed.name, claimed.token, make_rows(4, 8)) == before
    assert store.append(claimed.name, claimed.token, make_rows(0, 4)) == before
    assert list(store.rows(claimed.name)) == make_rows(0, 8)


@pytest.mark.parametrize(("start", "stop"), [(2, 5), (3, 8)])
def test_a_chunk_that_overlaps_is_refused(
    store: Store, claimed: Evaluation, make_rows: MakeRows, start: int, stop: int
) -> None:
    """Equal rows or not: part of it is missing."""
    store.append(claimed.name, claimed.token, make_rows(0, 4))
    with pytest.raises(ValueError, match="not those that were committed"):
        store.append(claimed.name, claimed.token, make_rows(start, stop))
    assert list(store.rows(claimed.name)) == make_rows(0, 4)


def test_other_rows_in_place_of_committed_ones_are_refused(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    store.append(claimed.name, claimed.token, make_rows(0, 4))
    changed = [replace(row, score=0.125) for row in make_rows(0, 4)]
    with pytest.raises(ValueError, match="rows 0 to 3"):
        store.append(claimed.name, claimed.token, changed)


@pytest.mark.parametrize("indices", [(1, 0), (0, 0)])
def test_rows_out_of_order_are_refused(
    store: Store, claimed: Evaluation, make_row: MakeRow, indices: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="order"):
        store.append(claimed.name, claimed.token, [make_row(index) for index in indices])


def test_two_owners_who_append_at_once_double_nothing(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    """The second claims while the first appends: each chunk is one's or the other's."""

    def work(token: int) -> None:
        try:
            for _ in range(30):
                start = store.next_index(claimed.name)
                store.append(claimed.name, token, make_rows(start, start + 5))
        except LeaseLost:
            pass

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(work, claimed.token)
        while store.next_index(claimed.name) < 20:
            pass
        with store._writer.begin() as connection:
            connection.exec_driver_sql("UPDATE evaluations SET lease_until = 0")
        while (taken := store.claim("other", 60)) is None:
            pass  # skipped while the first one writes
        threads.submit(work, taken.token).result()
        first.result()
    done = store.get(claimed.name).done
    assert list(store.rows(claimed.name)) == make_rows(0, done)
    assert done >= 150
