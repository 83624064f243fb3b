"""How often servers died without getting further."""

from collections.abc import Callable

from alembic import command
from sqlalchemy import text, update

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, NewEvaluation, State, Store, open_store
from pellucid_server.evaluate.store.migrate import alembic_config
from pellucid_server.evaluate.store.schema import evaluations

MakeRows = Callable[[int, int], list[Row]]


def taken_over(store: Store, name: str) -> Evaluation:
    """As the next server gets it, after its owner died."""
    with store._writer.begin() as connection:
        expired = update(evaluations).where(evaluations.c.name == name).values(lease_until=0)
        connection.execute(expired)
    taken = store.claim("heir", 60)
    assert taken is not None
    return taken


def test_each_owner_that_gets_no_further_counts(store: Store, claimed: Evaluation) -> None:
    assert claimed.attempts == 1
    assert [taken_over(store, claimed.name).attempts for _ in range(3)] == [2, 3, 4]


def test_rows_make_deaths_and_crashes_forgotten(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    store.crashed(claimed.name)
    taken = taken_over(store, claimed.name)
    assert (taken.attempts, taken.crashes) == (2, 1)
    kept = store.append(taken.name, taken.token, make_rows(0, 2))
    assert (kept.attempts, kept.crashes) == (1, 0)
    assert taken_over(store, claimed.name).attempts == 2


def test_who_hands_over_has_not_died(store: Store, claimed: Evaluation) -> None:
    for _ in range(5):
        store.release(claimed.name, claimed.token)
        again = store.claim("other", 60)
        assert again is not None
        assert again.attempts == 1
        claimed = again


def test_resuming_begins_anew(store: Store, claimed: Evaluation) -> None:
    store.crashed(claimed.name)
    store.finish(claimed.name, claimed.token, State.FAILED, reason="crashed")
    resumed = store.resume(claimed.name)
    assert (resumed.attempts, resumed.crashes) == (0, 0)


def test_what_ended_or_is_gone_crashes_no_more(store: Store, claimed: Evaluation) -> None:
    store.finish(claimed.name, claimed.token, State.CANCELLED)
    store.crashed(claimed.name)
    store.crashed("evaluations/gone")
    assert store.get(claimed.name).crashes == 0


def test_evaluations_of_an_older_store_have_not_failed(url: str, new: NewEvaluation) -> None:
    """The tables of the first version, with a row in them, are brought to this one."""
    store = open_store(url)
    name = store.create(new).name
    with store._writer.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
        connection.execute(text("UPDATE evaluations SET state = 'pending'"))
    store.close()
    store = open_store(url)
    found = store.get(name)
    assert (found.attempts, found.crashes) == (0, 0)
    claimed = store.claim("me", 60)
    assert claimed is not None
    assert claimed.attempts == 1
    store.close()
