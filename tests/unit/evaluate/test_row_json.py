import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.evaluate.report import (
    ClassReport,
    Confusion,
    Curve,
    Metric,
    Report,
    Row,
)
from pellucid_server.evaluate.row_json import (
    report_from_json,
    report_to_json,
    row_from_json,
    row_to_json,
)
from pellucid_server.types import Category

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
INTEGERS = st.integers(-(2**62), 2**62)
CATEGORIES = st.builds(Category, INTEGERS, TEXTS, FLOATS)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)
ROWS = st.builds(
    Row,
    index=INTEGERS,
    path=TEXTS,
    digest=TEXTS,
    location=TEXTS,
    predicted=st.none() | CATEGORIES,
    annotated=st.none() | CATEGORIES,
    rank=INTEGERS,
    correct=st.none() | st.booleans(),
    score=st.none() | FLOATS,
    missed=INTEGERS,
    extra=INTEGERS,
    detail=st.dictionaries(TEXTS, VALUES),
    seconds=FLOATS,
    reason=TEXTS,
)


def tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=3).map(tuple)


METRICS = tuples(st.builds(Metric, TEXTS, FLOATS, TEXTS))
REPORTS = st.builds(
    Report,
    METRICS,
    tuples(st.builds(ClassReport, CATEGORIES, FLOATS, FLOATS, FLOATS, INTEGERS, METRICS)),
    tuples(st.builds(Confusion, INTEGERS, INTEGERS, INTEGERS)),
    tuples(st.builds(Curve, TEXTS, TEXTS, tuples(FLOATS), tuples(FLOATS), tuples(INTEGERS))),
    INTEGERS,
    INTEGERS,
    FLOATS,
)


@given(ROWS)
def test_a_row_comes_back_equal(row: Row) -> None:
    text = row_to_json(row)
    back = row_from_json(text)
    assert back == row
    assert row_to_json(back) == text
    json.loads(text)


@given(REPORTS)
def test_a_report_comes_back_equal(report: Report) -> None:
    assert report_from_json(report_to_json(report)) == report


@given(FLOATS)
def test_floats_keep_every_bit(value: float) -> None:
    row = row_from_json(row_to_json(Row(0, "", score=value, detail={"deep": [{"er": value}]})))
    deep: Any = row.detail["deep"]
    assert isinstance(row.score, float)
    assert row.score.hex() == deep[0]["er"].hex() == value.hex()


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(ValueError, match="path"):
        row_from_json('{"index": 1}')
