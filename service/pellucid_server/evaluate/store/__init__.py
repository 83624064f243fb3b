"""Where evaluations are kept: SQLite embedded, PostgreSQL by URL."""

from pellucid_server.evaluate.store.errors import (
    LeaseLost,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
    WrongState,
)
from pellucid_server.evaluate.store.evaluation import Evaluation, NewEvaluation, State
from pellucid_server.evaluate.store.filters import ExampleFilter, ExampleOrder
from pellucid_server.evaluate.store.pages import Page
from pellucid_server.evaluate.store.store import Store, open_store

__all__ = [
    "Evaluation",
    "ExampleFilter",
    "ExampleOrder",
    "LeaseLost",
    "NewEvaluation",
    "Page",
    "State",
    "Store",
    "StoreFull",
    "StoreTooNew",
    "StoreUnavailable",
    "WrongState",
    "open_store",
]
