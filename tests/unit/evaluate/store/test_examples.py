import math
from collections.abc import Callable, Iterator
from dataclasses import fields as fields_of
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import (
    Evaluation,
    ExampleFilter,
    ExampleOrder,
    NewEvaluation,
    Store,
    blocks,
    columns,
    examples,
)
from pellucid_server.types import Category

MakeRow = Callable[..., Row]
MakeRows = Callable[[int, int], list[Row]]

LABELS = st.sampled_from(["", "cat", "dog", "Ünï"])
CONFIDENCES = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])
CATEGORIES = st.none() | st.builds(Category, st.integers(-1, 3), LABELS, CONFIDENCES)
FILTERS = st.builds(
    ExampleFilter,
    erroneous=st.booleans(),
    annotated_label=LABELS,
    predicted_label=LABELS,
    min_confidence=st.none() | CONFIDENCES,
    max_confidence=st.none() | CONFIDENCES,
    min_rank=st.integers(0, 3),
    bad_annotation=st.sampled_from([False, False, True]),
)
FIELDS = st.fixed_dictionaries(
    {
        "gap": st.integers(1, 3),
        "predicted": CATEGORIES,
        "annotated": CATEGORIES,
        "rank": st.integers(0, 3),
        "correct": st.none() | st.booleans(),
        "score": st.none() | st.sampled_from([-math.inf, 0.0, 0.25, 1.0, 30.5]),
        "reason": st.sampled_from(["", "", "", "no such class"]),
    }
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few rows fill several blocks, and a page several readings."""
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 4)
    monkeypatch.setattr(examples, "BLOCK_ROWS", 4)
    monkeypatch.setattr(blocks, "READ_AT_ONCE", 2)


def passes(row: Row, wanted: ExampleFilter) -> bool:
    """The filter, read from the protocol's words."""
    confidence = math.nan if row.predicted is None else np.float32(row.predicted.confidence)
    bounds = [np.float32(each) for each in (wanted.min_confidence,) if each is not None]
    limits = [np.float32(each) for each in (wanted.max_confidence,) if each is not None]
    return (
        bool(row.reason) == wanted.bad_annotation
        and (not wanted.erroneous or (row.correct is False and not row.reason))
        and (not wanted.annotated_label or _label(row.annotated) == wanted.annotated_label)
        and (not wanted.predicted_label or _label(row.predicted) == wanted.predicted_label)
        and all(confidence >= bound for bound in bounds)
        and all(confidence <= limit for limit in limits)
        and (not wanted.min_rank or row.rank >= wanted.min_rank)
    )


def _label(category: Category | None) -> str | None:
    return category.label if category else None


def value(row: Row, order: ExampleOrder) -> float | None:
    """What the order goes by."""
    if order is ExampleOrder.CONFIDENCE:
        return row.predicted.confidence if row.predicted else None
    if order is ExampleOrder.RANK:
        return row.rank or None
    return row.score if order is ExampleOrder.SCORE else row.index


def sort(rows: list[Row], order: ExampleOrder, *, descending: bool) -> list[Row]:
    """Rows in order: equal ones by index, those without a value last."""
    sign = -1 if descending else 1

    def key(row: Row) -> tuple[float, int]:
        number = value(row, order)
        return (math.inf if number is None else sign * number), row.index

    return sorted(rows, key=key)


def pages(store: Store, name: str, size: int, *query: Any, descending: bool) -> Iterator[list[Row]]:
    """All pages of a query."""
    token = ""
    while True:
        page = store.examples(name, *query, descending=descending, page_size=size, page_token=token)
        yield list(page.items)
        token = page.next_token
        if not token:
            return


def fill(store: Store, new: NewEvaluation, rows: list[Row], chunk: int = 3) -> str:
    """An evaluation of these rows."""
    created = store.create(new)
    claimed = store.claim("me", 60)
    assert claimed is not None
    for start in range(0, len(rows), chunk):
        store.append(created.name, claimed.token, rows[start : start + chunk])
    return created.name


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    fields=st.lists(FIELDS, max_size=20),
    wanted=FILTERS,
    order=st.sampled_from(ExampleOrder),
    descending=st.booleans(),
    size=st.integers(1, 7),
    chunk=st.integers(1, 11),
)
def test_pages_together_are_the_filtered_and_sorted_rows(
    store: Store,
    new: NewEvaluation,
    fields: list[dict[str, Any]],
    wanted: ExampleFilter,
    order: ExampleOrder,
    descending: bool,  # noqa: FBT001  # drawn
    size: int,
    chunk: int,
) -> None:
    """Equal to a filter and a sort in Python: exactly, and all pages but the last are full."""
    indices = np.cumsum([each["gap"] for each in fields], dtype=int).tolist()
    rows = [
        Row(index, f"{index}.jpg", **{k: v for k, v in each.items() if k != "gap"})
        for index, each in zip(indices, fields, strict=True)
    ]
    name = fill(store, new, rows, chunk)
    found = list(pages(store, name, size, wanted, order, descending=descending))
    expected = sort([row for row in rows if passes(row, wanted)], order, descending=descending)
    assert [row for page in found for row in page] == expected
    assert all(len(page) == size for page in found[:-1])


def test_every_order_and_filter_over_many_rows(
    store: Store, new: NewEvaluation, make_rows: MakeRows
) -> None:
    """A hundred rows, some of them bad, in every order and in both directions."""
    rows = make_rows(0, 100)
    name = fill(store, new, rows, 33)
    wanted = ExampleFilter(erroneous=True, annotated_label="class 0", min_rank=2)
    for order, descending in product(ExampleOrder, (False, True)):
        found = [r for p in pages(store, name, 4, wanted, order, descending=descending) for r in p]
        expected = [row for row in rows if passes(row, wanted)]
        assert found == sort(expected, order, descending=descending)
        assert len(found) == 20


def test_a_page_has_50_rows_by_default_and_1000_at_most(
    store: Store, new: NewEvaluation, make_rows: MakeRows
) -> None:
    name = fill(store, new, make_rows(0, 1100), 1100)
    assert len(store.examples(name).items) == 50
    assert len(store.examples(name, page_size=5000).items) == 1000


def test_rows_that_come_meanwhile_are_on_later_pages(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    """In the order of the data set a running evaluation can be followed."""
    store.append(claimed.name, claimed.token, make_rows(0, 5))
    first = store.examples(claimed.name, page_size=4)
    store.append(claimed.name, claimed.token, make_rows(5, 7))
    second = store.examples(claimed.name, page_size=4, page_token=first.next_token)
    assert [row.index for row in (*first.items, *second.items)] == list(range(7))


def test_an_unknown_label_finds_nothing(
    store: Store, new: NewEvaluation, make_rows: MakeRows
) -> None:
    name = fill(store, new, make_rows(0, 9))
    page = store.examples(name, ExampleFilter(predicted_label="zebra"))
    assert (page.items, page.next_token) == ((), "")


def test_an_unknown_evaluation_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.examples("evaluations/none")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"min_confidence": math.nan}, "min_confidence"),
        ({"max_confidence": math.nan}, "max_confidence"),
        ({"min_rank": -1}, "min_rank"),
    ],
)
def test_a_bound_that_is_none_is_refused(
    store: Store, claimed: Evaluation, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        store.examples(claimed.name, ExampleFilter(**wrong))
    assert raised.value.field == field


@pytest.mark.parametrize("bound", [1e300, -1e300, math.inf, -math.inf])
def test_any_other_number_is_a_bound(
    store: Store, claimed: Evaluation, make_rows: MakeRows, bound: float
) -> None:
    store.append(claimed.name, claimed.token, make_rows(0, 3))
    page = store.examples(claimed.name, ExampleFilter(min_confidence=bound))
    assert len(page.items) == (3 if bound < 0 else 0)


@pytest.mark.parametrize("size", [-1, -50])
def test_a_negative_page_size_is_refused(store: Store, claimed: Evaluation, size: int) -> None:
    with pytest.raises(InvalidInput) as raised:
        store.examples(claimed.name, page_size=size)
    assert raised.value.field == "page_size"


FILTER_FIELDS = {field.name for field in fields_of(ExampleFilter)}
OTHERS: tuple[dict[str, Any], ...] = (
    {"erroneous": True},
    {"annotated_label": "class 1"},
    {"predicted_label": "class 1"},
    {"min_confidence": 0.0},
    {"max_confidence": 1.0},
    {"min_rank": 1},
    {"bad_annotation": True},
    {"order": ExampleOrder.SCORE},
    {"descending": True},
    {"other": True},
)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_a_token_belongs_to_its_filter_order_and_evaluation(
    store: Store, new: NewEvaluation, make_rows: MakeRows, other: dict[str, Any]
) -> None:
    name = fill(store, new, make_rows(0, 4))
    token = store.examples(name, page_size=2).next_token
    another = fill(store, new, make_rows(0, 4)) if "other" in other else name
    order = other.get("order", ExampleOrder.DATASET)
    wanted = replace(ExampleFilter(), **{k: v for k, v in other.items() if k in FILTER_FIELDS})
    descending = "descending" in other
    with pytest.raises(InvalidInput, match="belongs to another") as raised:
        store.examples(another, wanted, order, descending=descending, page_token=token)
    assert raised.value.field == "page_token"


def test_a_token_that_was_changed_is_refused(
    store: Store, new: NewEvaluation, make_rows: MakeRows
) -> None:
    """Whichever character it was."""
    name = fill(store, new, make_rows(0, 4))
    token = store.examples(name, page_size=2).next_token
    changed = [
        f"{token[:at]}{'x' if token[at] != 'x' else 'y'}{token[at + 1 :]}" for at in range(40)
    ]
    for each in (*changed, token[:-1], token + "A", " ", "é", "=" * 44):
        with pytest.raises(InvalidInput) as raised:
            store.examples(name, page_token=each)
        assert raised.value.field == "page_token"


def test_labels_of_a_large_data_set_have_codes_of_their_own() -> None:
    assert len({columns.label_code(f"n{number:08}") for number in range(21_841)}) == 21_841
