"""Whether pages of examples stay fast where an evaluation has very many."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.frame import Series, benchmark
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import (
    ExampleFilter,
    ExampleOrder,
    NewEvaluation,
    Store,
    open_store,
)
from pellucid_server.types import Category

CHUNK = 20_000
CLASSES = 1000
COMMON, RARE = "class 1", "class 999"
FILTERS = (
    ExampleFilter(),
    ExampleFilter(erroneous=True),
    ExampleFilter(annotated_label=COMMON),
    ExampleFilter(annotated_label=RARE, erroneous=True),
    ExampleFilter(annotated_label=COMMON, predicted_label=RARE),
    ExampleFilter(min_confidence=0.5, max_confidence=0.500001),
    ExampleFilter(erroneous=True, min_confidence=0.9, min_rank=5),
    ExampleFilter(min_confidence=2.0),
    ExampleFilter(bad_annotation=True),
    ExampleFilter(
        erroneous=True,
        annotated_label=COMMON,
        predicted_label=RARE,
        min_confidence=0.1,
        max_confidence=0.9,
        min_rank=2,
    ),
)
"""From all rows to none; what finds little is what makes an index walk far."""


@dataclass(frozen=True)
class Size:
    """Rows, how often each page is asked for, and how many pages deep each list is followed."""

    rows: int
    times: int
    depth: int


@benchmark(
    {"list_examples_1m_rows_ms": "ms"}, quick=Size(100_000, 2, 2), full=Size(1_000_000, 9, 3)
)
def list_examples(size: Size) -> Series:
    """The slowest page of all filters, orders and directions, asked for time and again.

    SQLite, 50 rows a page, the first pages of each list; 100,000 rows in the quick run.
    """
    with _store(size.rows) as (store, name):
        rounds = [_round(store, name, size.depth) for _ in range(size.times)]
    slowest = max(zip(*rounds, strict=True), key=median)
    return {"list_examples_1m_rows_ms": slowest}


def _round(store: Store, name: str, depth: int) -> list[float]:
    """Milliseconds of every page of every query."""
    queries = product(FILTERS, ExampleOrder, (False, True))
    return [each for query in queries for each in _pages(store, name, query, depth)]


def _pages(
    store: Store, name: str, query: tuple[ExampleFilter, ExampleOrder, bool], depth: int
) -> Iterator[float]:
    """Milliseconds of each page."""
    wanted, order, descending = query
    token = ""
    for _ in range(depth):
        start = time.perf_counter()
        page = store.examples(name, wanted, order, descending=descending, page_token=token)
        yield 1000 * (time.perf_counter() - start)
        token = page.next_token
        if not token:
            return


@contextmanager
def _store(rows: int) -> Iterator[tuple[Store, str]]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'store.db'}")
        store.create(NewEvaluation("{}", "generated", "1", "classification", total=rows))
        claimed = store.claim("benchmark", lease_seconds=3600)
        assert claimed is not None  # noqa: S101  # just created
        for start in range(0, rows, CHUNK):
            store.append(claimed.name, claimed.token, _rows(start))
        yield store, claimed.name
        store.close()


def _rows(start: int) -> list[Row]:
    """A chunk of rows as of a classifier that is right four times in five; one in 1,000 is bad."""
    random = np.random.default_rng(start)
    annotated = random.integers(CLASSES, size=CHUNK).tolist()
    correct = random.random(CHUNK) < 0.8
    predicted = np.where(correct, annotated, random.integers(CLASSES, size=CHUNK)).tolist()
    confidence = random.random(CHUNK).tolist()
    rank = np.where(correct, 1, random.geometric(0.2, CHUNK)).tolist()
    return [
        Row(
            index=start + each,
            path=f"class {annotated[each]}/{start + each:08}.jpg",
            predicted=Category(predicted[each], f"class {predicted[each]}", confidence[each]),
            annotated=Category(annotated[each], f"class {annotated[each]}", confidence[each]),
            rank=rank[each],
            correct=bool(correct[each]),
            score=confidence[each],
            reason="generated" if each % 1000 == 999 else "",
        )
        for each in range(CHUNK)
    ]
