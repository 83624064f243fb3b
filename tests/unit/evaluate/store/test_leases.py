from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import update

from pellucid_server.errors import NotFound
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import (
    Evaluation,
    LeaseLost,
    NewEvaluation,
    State,
    Store,
    open_store,
)
from pellucid_server.evaluate.store.schema import evaluations

MakeRows = Callable[[int, int], list[Row]]
Write = Callable[[Store, str, int], Any]


def expire(store: Store, name: str) -> None:
    """Lets a lease run out, whoever's clock counts."""
    with store._writer.begin() as connection:
        expired = update(evaluations).where(evaluations.c.name == name).values(lease_until=0)
        connection.execute(expired)


def test_claim_takes_the_oldest(store: Store, new: NewEvaluation) -> None:
    names = [store.create(new).name for _ in range(3)]
    claims = [store.claim(f"owner {number}", 60) for number in range(4)]
    assert [each and each.name for each in claims] == [*names, None]
    assert [each and each.owner for each in claims[:3]] == ["owner 0", "owner 1", "owner 2"]


def test_a_lease_keeps_others_away(store: Store, claimed: Evaluation) -> None:
    assert claimed.state == State.RUNNING
    assert claimed.lease_until is not None
    assert store.claim("other", 60) is None


def test_an_owner_that_died_is_taken_over_with_a_larger_token(
    store: Store, claimed: Evaluation
) -> None:
    expire(store, claimed.name)
    taken = store.claim("other", 60)
    assert taken is not None
    assert (taken.name, taken.owner) == (claimed.name, "other")
    assert taken.token > claimed.token


def test_renewing_keeps_the_lease(store: Store, claimed: Evaluation) -> None:
    expire(store, claimed.name)
    store.renew(claimed.name, claimed.token, 60)
    assert store.claim("other", 60) is None


def test_an_expired_lease_that_nobody_took_is_still_its_owners(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    expire(store, claimed.name)
    assert store.append(claimed.name, claimed.token, make_rows(0, 2)).done == 2


WRITES: dict[str, Write] = {
    "append nothing": lambda store, name, token: store.append(name, token, []),
    "renew": lambda store, name, token: store.renew(name, token, 60),
    "set_total": lambda store, name, token: store.set_total(name, token, 5),
    "release": lambda store, name, token: store.release(name, token),
    "finish": lambda store, name, token: store.finish(name, token, State.FAILED, reason="?"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_with_an_old_token_is_refused(
    store: Store, claimed: Evaluation, write: Write
) -> None:
    expire(store, claimed.name)
    taken = store.claim("other", 60)
    with pytest.raises(LeaseLost, match="not yours"):
        write(store, claimed.name, claimed.token)
    assert store.get(claimed.name) == taken


def test_rows_with_an_old_token_are_refused_with_their_progress(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    expire(store, claimed.name)
    taken = store.claim("other", 60)
    with pytest.raises(LeaseLost):
        store.append(claimed.name, claimed.token, make_rows(0, 3))
    assert list(store.rows(claimed.name)) == []
    assert store.get(claimed.name) == taken


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_to_what_was_deleted_finds_nothing(
    store: Store, claimed: Evaluation, write: Write
) -> None:
    expire(store, claimed.name)
    store.delete(claimed.name)
    with pytest.raises(NotFound):
        write(store, claimed.name, claimed.token)


def test_finish_keeps_everything(store: Store, claimed: Evaluation) -> None:
    ended = store.finish(
        claimed.name, claimed.token, State.SUCCEEDED, report='{"images":3}', dataset_digest="ff"
    )
    assert (ended.state, ended.report, ended.dataset_digest) == ("succeeded", '{"images":3}', "ff")
    assert (ended.owner, ended.lease_until) == (None, None)
    assert ended.ended is not None
    assert ended.ended >= ended.created


def test_finishing_again_changes_nothing(store: Store, claimed: Evaluation) -> None:
    """As a try does whose answer got lost."""
    ended = store.finish(claimed.name, claimed.token, State.FAILED, reason="first")
    assert store.finish(claimed.name, claimed.token, State.FAILED, reason="second") == ended
    with pytest.raises(LeaseLost, match="failed"):
        store.finish(claimed.name, claimed.token, State.SUCCEEDED)


def test_what_does_not_end_is_no_end(store: Store, claimed: Evaluation) -> None:
    with pytest.raises(ValueError, match="no end"):
        store.finish(claimed.name, claimed.token, State.RUNNING)


def test_after_the_end_nothing_is_appended(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    store.finish(claimed.name, claimed.token, State.CANCELLED)
    with pytest.raises(LeaseLost, match="cancelled"):
        store.append(claimed.name, claimed.token, make_rows(0, 1))


def test_what_is_released_goes_on_at_once(store: Store, claimed: Evaluation) -> None:
    assert store.release(claimed.name, claimed.token).state == State.PENDING
    assert store.release(claimed.name, claimed.token).owner is None
    taken = store.claim("other", 60)
    assert taken is not None
    assert taken.token == claimed.token + 1


def test_the_total_may_become_known(store: Store, claimed: Evaluation) -> None:
    assert store.set_total(claimed.name, claimed.token, 123).total == 123


def test_of_many_who_claim_at_once_each_gets_another(store: Store, new: NewEvaluation) -> None:
    names = {store.create(new).name for _ in range(6)}
    barrier = Barrier(8)

    def claim(number: int) -> Evaluation | None:
        barrier.wait()
        return store.claim(f"owner {number}", 60)

    with ThreadPoolExecutor(8) as threads:
        claims = [each for each in threads.map(claim, range(8)) if each]
    assert len(claims) == 6
    assert {each.name for each in claims} == names


def test_what_nobody_runs_is_counted_with_its_age(store: Store, new: NewEvaluation) -> None:
    """Of three, one is held, one has lost its owner and one waits; deleted ones do not count."""
    assert store.waiting() == (0, 0.0)
    names = [store.create(new).name for _ in range(4)]
    store.delete(names.pop())
    store.claim("me", 60)
    store.claim("the dead", 60)
    assert store.waiting()[0] == 1
    expire(store, names[1])
    count, oldest = store.waiting()
    assert count == 2
    assert 0 <= oldest < 600


HOUR = 3600.0


@dataclass
class Clock:
    """One that is set by the test."""

    now: float = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clocked(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store that counts by that clock."""
    with closing(open_store(f"sqlite:///{tmp_path / 'store.db'}", clock=clock)) as store:
        yield store


def test_a_clock_that_is_set_back_keeps_no_dead_owner_alive(
    clocked: Store, clock: Clock, new: NewEvaluation
) -> None:
    clocked.create(new)
    dead = clocked.claim("dead", 20)
    assert dead
    clock.now -= HOUR
    taken = clocked.claim("heir", 20)
    assert taken
    assert (taken.name, taken.owner, taken.token) == (dead.name, "heir", dead.token + 1)


@pytest.mark.parametrize("step", [-HOUR, -30.0, -5.0, 30.0, HOUR])
def test_a_clock_that_jumps_loses_no_row(
    clocked: Store, clock: Clock, new: NewEvaluation, make_rows: MakeRows, step: float
) -> None:
    """Either the owner goes on, or another one does, from where it was; never both."""
    clocked.create(new)
    owner = clocked.claim("owner", 20)
    assert owner
    clocked.append(owner.name, owner.token, make_rows(0, 3))
    clock.now += step
    heir = clocked.claim("heir", 20)
    if heir:
        assert heir.next_index == 3
        with pytest.raises(LeaseLost):
            clocked.append(owner.name, owner.token, make_rows(3, 5))
    goes_on = heir or owner
    clocked.append(goes_on.name, goes_on.token, make_rows(3, 5))
    clocked.renew(goes_on.name, goes_on.token, 20)
    assert clocked.claim("other", 20) is None
    assert [row.index for row in clocked.rows(owner.name)] == list(range(5))


def test_a_clock_that_slips_back_a_little_takes_nothing_from_who_lives(
    clocked: Store, clock: Clock, new: NewEvaluation
) -> None:
    """As one does that is corrected over the network."""
    clocked.create(new)
    assert clocked.claim("owner", 20)
    clock.now -= 2
    assert clocked.claim("other", 20) is None
