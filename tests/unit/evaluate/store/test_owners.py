"""Two owners, whatever they do and whenever their leases run out."""

from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import (
    Evaluation,
    LeaseLost,
    NewEvaluation,
    State,
    Store,
)
from pellucid_server.evaluate.store.schema import evaluations

OWNERS = st.sampled_from(["one", "two"])


def row(index: int) -> Row:
    """What any owner finds of an image: rows depend on the data set alone."""
    return Row(index, f"{index}.jpg", correct=index % 2 == 0, score=index / 3)


class Owners(RuleBasedStateMachine):
    """Each owner remembers its last claim, however old, and the rows as they should be."""

    store: ClassVar[Store]
    new: ClassVar[NewEvaluation]

    def __init__(self) -> None:
        super().__init__()
        self.name = self.store.create(self.new).name
        self.claims: dict[str, Evaluation] = {}
        self.current: str | None = None
        self.state, self.expired, self.done = State.PENDING, False, 0

    def teardown(self) -> None:
        self._expire()
        self.store.delete(self.name)

    def _expire(self) -> None:
        with self.store._writer.begin() as connection:
            connection.execute(update(evaluations).values(lease_until=0))

    @rule(owner=OWNERS)
    def claim(self, owner: str) -> None:
        claimed = self.store.claim(owner, 60)
        free = self.state == State.PENDING or (self.state == State.RUNNING and self.expired)
        assert (claimed is not None) == free
        if claimed:
            assert claimed.next_index == self.done
            assert all(claimed.token > each.token for each in self.claims.values())
            self.claims[owner], self.current = claimed, owner
            self.state, self.expired = State.RUNNING, False

    @rule()
    def expire(self) -> None:
        self._expire()
        self.expired = True

    @precondition(lambda self: self.claims)
    @rule(owner=OWNERS, count=st.integers(1, 6), back=st.integers(0, 8))
    def append(self, owner: str, count: int, back: int) -> None:
        """New rows, or a chunk that was sent before."""
        if owner in self.claims:
            start = max(0, self.done - back)
            stop = self.done if start < self.done else self.done + count
            rows = [row(index) for index in range(start, stop)]
            if self._try(owner, lambda n, t: self.store.append(n, t, rows)):
                self.done = stop

    @precondition(lambda self: self.claims)
    @rule(owner=OWNERS)
    def renew(self, owner: str) -> None:
        if self._try(owner, lambda n, t: self.store.renew(n, t, 60)):
            self.expired = False

    @precondition(lambda self: self.claims)
    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        if self.state == State.RUNNING and self._try(owner, self.store.release):
            self.state = State.PENDING

    @precondition(lambda self: self.state == State.RUNNING)
    @rule(owner=OWNERS)
    def fail(self, owner: str) -> None:
        if self._try(owner, lambda n, t: self.store.finish(n, t, State.FAILED, reason="?")):
            self.state = State.FAILED

    @precondition(lambda self: self.state == State.FAILED)
    @rule()
    def resume(self) -> None:
        self.store.resume(self.name)
        self.state = State.PENDING

    def _try(self, owner: str, write: Callable[[str, int], object]) -> bool:
        """Whether it was written: exactly where this owner has the lease."""
        if owner not in self.claims:
            return False
        if owner == self.current and self.state == State.RUNNING:
            write(self.name, self.claims[owner].token)
            return True
        with pytest.raises(LeaseLost):
            write(self.name, self.claims[owner].token)
        return False

    @invariant()
    def rows_are_there_once(self) -> None:
        found = self.store.get(self.name)
        assert (found.done, found.next_index, found.state) == (self.done, self.done, self.state)
        assert list(self.store.rows(self.name)) == [row(index) for index in range(self.done)]
        assert len(self.store.examples(self.name, page_size=1000).items) == self.done


@pytest.fixture
def machine(store: Store, new: NewEvaluation) -> type[Owners]:
    return type("OwnersOfAStore", (Owners,), {"store": store, "new": new})


def test_rows_are_never_doubled_or_lost(machine: type[Owners]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
