import threading
from dataclasses import replace
from typing import Any, cast

import pytest

from pellucid_server.engine.evaluation.hold import Draining, Hold
from pellucid_server.errors import Cancelled
from pellucid_server.evaluate.store import Evaluation, LeaseLost, Store, StoreUnavailable

CLAIMED = Evaluation(
    request="{}", model_name="m", model_version="1", task="classification", name="e", token=3
)


class Renewals:
    """A store that answers renewals as it is told, the last answer over and over."""

    def __init__(self, *answers: Evaluation | Exception) -> None:
        self._answers = list(answers)
        self.seen: list[tuple[str, int, float]] = []
        self.enough = threading.Event()

    def renew(self, name: str, token: int, lease: float) -> Evaluation:
        self.seen.append((name, token, lease))
        if len(self.seen) >= len(self._answers) + 2:
            self.enough.set()
        answer = self._answers[min(len(self.seen), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def hold(store: Renewals, claimed: Evaluation = CLAIMED, lease: float = 0.02) -> Hold:
    return Hold(cast("Store", store), claimed, lease)


def stopped(held: Hold) -> Exception:
    assert held.call.cancelled.wait(10)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of any kind: the test looks at it
        held.check()
    return caught.value


def test_the_lease_is_renewed_whatever_takes_long() -> None:
    store = Renewals(CLAIMED)
    with hold(store) as held:
        assert store.enough.wait(10)
        held.check()
    assert store.seen[0] == ("e", 3, 0.02)


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    with hold(Renewals(CLAIMED)):
        pass
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (LeaseLost("gone"), LeaseLost),
        (replace(CLAIMED, cancel_requested=True), Cancelled),
    ],
)
def test_what_the_store_says_stops_the_work(answer: Any, kind: type[Exception]) -> None:
    with hold(Renewals(answer)) as held:
        assert isinstance(stopped(held), kind)


def test_a_store_that_is_away_for_a_while_stops_nothing() -> None:
    store = Renewals(StoreUnavailable("away"), StoreUnavailable("away"), CLAIMED)
    with hold(store) as held:
        assert store.enough.wait(10)
        held.check()
        assert not held.call.cancelled.is_set()


def test_what_was_to_be_cancelled_before_it_was_claimed_does_not_begin() -> None:
    held = hold(Renewals(CLAIMED), replace(CLAIMED, cancel_requested=True))
    assert isinstance(stopped(held), Cancelled)


def test_the_first_reason_to_stop_is_the_reason() -> None:
    held = hold(Renewals(CLAIMED))
    first = Draining()
    assert held.stop(first) is first
    assert held.stop(Cancelled("later")) is first
    assert stopped(held) is first


def test_items_are_given_out_as_long_as_the_work_goes_on() -> None:
    held = hold(Renewals(CLAIMED))
    items = held.checked(iter(range(10)))
    assert [next(items), next(items)] == [0, 1]
    held.stop(Draining())
    with pytest.raises(Draining):
        next(items)
