"""An evaluation as the store keeps it."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from pellucid_server.evaluate.store.schema import evaluations

COLLECTION = "evaluations/"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that is taken for another."""
LETTERS, RANDOM_BITS = 26, 80


class State(StrEnum):
    """How an evaluation stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True)
class NewEvaluation:
    """What is known of an evaluation when it is accepted."""

    request: str
    """The request as understood, as JSON."""
    model_name: str
    model_version: str
    task: str
    model_digest: str = ""
    precision: str = ""
    tenant: str = ""
    total: int | None = None
    """Images to do; None: not known before the data set is read."""


@dataclass(frozen=True)
class Evaluation(NewEvaluation):
    """An evaluation. Times are seconds since 1970."""

    name: str = ""
    state: State = State.PENDING
    reason: str = ""
    """Why it failed."""
    created: float = 0.0
    ended: float | None = None
    done: int = 0
    """Rows committed, those of bad annotations among them."""
    bad: int = 0
    """Rows of annotations that could not be used."""
    next_index: int = 0
    """Rows from this index on are missing."""
    dataset_digest: str = ""
    report: str | None = None
    """As JSON, once it is done."""
    cancel_requested: bool = False
    owner: str | None = None
    token: int = 0
    """Of the lease: grows with every claim."""
    lease_until: float | None = None
    attempts: int = 0
    """Owners that got no further than `next_index`, the one that holds it among them."""
    crashes: int = 0
    """How many of these crashed, for certain."""


COLUMNS = tuple(evaluations.c[field.name] for field in fields(Evaluation))


def evaluation_of(record: Sequence[Any]) -> Evaluation:
    """From the values of `COLUMNS`."""
    values = dict(zip((column.name for column in COLUMNS), record, strict=True))
    return Evaluation(**{**values, "state": State(values["state"])})


def new_name() -> str:
    """`evaluations/` and 26 letters that sort by time (a ULID); 80 bits of them are random."""
    number = time.time_ns() // 10**6 << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    digits = (ALPHABET[number >> 5 * place & 31] for place in reversed(range(LETTERS)))
    return COLLECTION + "".join(digits)
