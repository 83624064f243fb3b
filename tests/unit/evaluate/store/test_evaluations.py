from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from sqlalchemy import func, select

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import (
    Evaluation,
    NewEvaluation,
    State,
    Store,
    WrongState,
    evaluations,
)
from pellucid_server.evaluate.store.evaluation import ALPHABET, new_name
from pellucid_server.evaluate.store.schema import metadata

MakeRows = Callable[[int, int], list[Row]]
MISSING = "evaluations/00000000000000000000000000"


def test_what_is_created_is_found(store: Store, new: NewEvaluation) -> None:
    """Every field comes back, and the rest says that nothing was done yet."""
    created = store.create(new)
    assert store.get(created.name) == created
    assert {f.name: getattr(created, f.name) for f in fields(NewEvaluation)} == vars(new)
    assert (created.state, created.done, created.bad, created.next_index) == ("pending", 0, 0, 0)
    assert (created.ended, created.report, created.owner) == (None, None, None)


def test_total_may_be_unknown(store: Store, new: NewEvaluation) -> None:
    assert store.create(replace(new, total=None)).total is None


def test_time_is_the_callers_on_sqlite_and_the_databases_on_postgresql(
    store: Store, new: NewEvaluation, kind: str, clock: Callable[[], float]
) -> None:
    created = store.create(new).created
    assert (created == clock()) is (kind == "sqlite")
    assert created == clock() or created > 1.7e9


def test_names_sort_by_time_and_cannot_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """26 letters: 10 of the time, 16 at random."""
    names = []
    for milliseconds in (1, 2, 1_800_000_000_000, 2**48 - 1):
        monkeypatch.setattr("time.time_ns", lambda now=milliseconds: now * 10**6)
        names.append(new_name().removeprefix("evaluations/"))
    assert names == sorted(names)
    assert all(len(name) == 26 and set(name) <= set(ALPHABET) for name in names)
    assert names[0][:10] == "0000000001"
    assert len({new_name()[-16:] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "call", ["get", "request_cancel", "resume", "delete", "next_index", "rows"]
)
def test_an_unknown_name_is_not_found(store: Store, call: str) -> None:
    with pytest.raises(NotFound, match="no evaluation") as raised:
        getattr(store, call)(MISSING)
    assert raised.value.field == "evaluation"


def test_list_is_newest_first_in_pages(store: Store, new: NewEvaluation) -> None:
    """Each once, also where one is created and one deleted between pages."""
    names = [store.create(new).name for _ in range(7)]
    first = store.evaluations(page_size=3)
    store.create(new)
    store.delete(names[3])
    second = store.evaluations(page_size=3, page_token=first.next_token)
    assert [each.name for each in first.items] == names[:3:-1]
    assert [each.name for each in second.items] == names[2::-1]
    assert second.next_token == ""


def test_list_takes_model_and_state(store: Store, new: NewEvaluation) -> None:
    one = store.create(new)
    other = store.create(replace(new, model_name="other"))
    store.claim("me", 60)
    by_model = store.evaluations(model_name="other").items
    running = store.evaluations(state=State.RUNNING).items
    both = store.evaluations(model_name="other", state=State.RUNNING).items
    assert [each.name for each in by_model] == [other.name]
    assert [each.name for each in running] == [one.name]
    assert both == ()


def test_list_takes_a_tenant(store: Store, new: NewEvaluation) -> None:
    """Who has no name is one too."""
    names = {tenant: store.create(replace(new, tenant=tenant)).name for tenant in ("", "a", "b")}
    for tenant, name in names.items():
        assert [each.name for each in store.evaluations(tenant=tenant).items] == [name]
    assert len(store.evaluations().items) == 3


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_token": "what?"}, "page_token"),
        ({"page_token": "AAAA"}, "page_token"),
        ({"page_token": "é"}, "page_token"),
    ],
)
def test_list_refuses(store: Store, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        store.evaluations(**wrong)
    assert raised.value.field == field


def test_a_token_belongs_to_its_list(store: Store, new: NewEvaluation) -> None:
    for _ in range(2):
        store.create(new)
    token = store.evaluations(page_size=1).next_token
    with pytest.raises(InvalidInput, match="another list"):
        store.evaluations(page_size=1, page_token=token, model_name="net")


def test_cancel_of_a_waiting_one_ends_it(store: Store, new: NewEvaluation) -> None:
    cancelled = store.request_cancel(store.create(new).name)
    assert (cancelled.state, cancelled.cancel_requested) == (State.CANCELLED, True)
    assert cancelled.ended is not None
    assert store.claim("me", 60) is None


def test_cancel_of_a_running_one_asks_its_owner(store: Store, claimed: Evaluation) -> None:
    assert store.request_cancel(claimed.name).state == State.RUNNING
    assert store.renew(claimed.name, claimed.token, 60).cancel_requested


def test_cancel_of_one_that_ended_changes_nothing(store: Store, claimed: Evaluation) -> None:
    ended = store.finish(claimed.name, claimed.token, State.SUCCEEDED, report="{}")
    assert store.request_cancel(claimed.name) == ended


def test_resume_goes_on_from_the_rows(
    store: Store, claimed: Evaluation, make_rows: MakeRows
) -> None:
    store.append(claimed.name, claimed.token, make_rows(0, 3))
    store.finish(claimed.name, claimed.token, State.FAILED, reason="the store went away")
    resumed = store.resume(claimed.name)
    assert (resumed.state, resumed.reason, resumed.ended) == (State.PENDING, "", None)
    again = store.claim("other", 60)
    assert again is not None
    assert (again.next_index, again.token) == (3, claimed.token + 1)


def test_resume_refuses_what_succeeded(store: Store, claimed: Evaluation) -> None:
    store.finish(claimed.name, claimed.token, State.SUCCEEDED, report="{}")
    with pytest.raises(WrongState, match="start a new evaluation"):
        store.resume(claimed.name)


def test_resume_of_one_that_runs_changes_nothing(store: Store, claimed: Evaluation) -> None:
    assert store.resume(claimed.name) == claimed


def test_delete_takes_rows_along(
    store: Store, claimed: Evaluation, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several transactions; nothing is left in any table."""
    monkeypatch.setattr(evaluations, "PURGED_AT_ONCE", 4)
    store.append(claimed.name, claimed.token, make_rows(0, 10))
    store.finish(claimed.name, claimed.token, State.SUCCEEDED, report="{}")
    store.delete(claimed.name)
    with pytest.raises(NotFound):
        store.get(claimed.name)
    with store._engine.connect() as connection:
        for table in metadata.sorted_tables:
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


def test_delete_refuses_what_runs(store: Store, claimed: Evaluation) -> None:
    with pytest.raises(WrongState, match="cancel it first") as raised:
        store.delete(claimed.name)
    assert raised.value.field == "evaluation"
    assert store.get(claimed.name) == claimed


def test_a_deletion_that_was_cut_short_is_invisible_and_finished_later(
    store: Store, claimed: Evaluation, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(claimed.name, claimed.token, make_rows(0, 5))
    store.release(claimed.name, claimed.token)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "purge", lambda _: None)
        store.delete(claimed.name)
    assert store.evaluations().items == ()
    assert store.claim("me", 60) is None
    store.prepare()
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM evaluation_rows").scalar() == 0
