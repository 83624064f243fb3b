"""Who would wait too long is told at once; who fits is let in."""

import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from pellucid_server.call import Call
from pellucid_server.engine.promises import FEW, Promises
from pellucid_server.errors import Cancelled, DeadlineExceeded, Overloaded
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec


def model(name: str) -> ServedModel:
    spec = ModelSpec.model_validate({"task": "classification", "labels": ["a"]})
    graph = cast("Any", None)
    return ServedModel(name, 1, spec, "onnx", Path("m"), graph, inputs=(), outputs=(), layers=())


SLOW, FAST = model("slow"), model("fast")


@pytest.fixture
def promises() -> Promises:
    """One worker, of which the slow model takes 0.09 s and the fast one 0.001 s; 0.5 s to wait."""
    made = Promises(0.5, workers=1, cores=1)
    for each, seconds in ((SLOW, 0.09), (FAST, 0.001)):
        for _ in range(100):
            with made.give(each, 1, Call()) as promise, promise.input() as spent:
                spent.device = seconds
    return made


def begin(
    stack: ExitStack, promises: Promises, count: int, each: ServedModel = SLOW, tenant: str = ""
) -> None:
    for _ in range(count):
        stack.enter_context(promises.give(each, 1, Call(tenant=tenant)))


def test_calls_are_let_in_until_the_next_would_wait_too_long(promises: Promises) -> None:
    with ExitStack() as stack:
        begin(stack, promises, 6)
        with pytest.raises(Overloaded, match=r"`limits\.wait_seconds`") as caught:
            begin(stack, promises, 1)
        assert caught.value.reason == "wait"
        assert 0.2 < caught.value.retry_after < 0.5
        with pytest.raises(Overloaded):
            promises.check(Call())
        assert promises.expected() == pytest.approx(0.54, abs=0.01)
    promises.check(Call())
    assert promises.expected() == 0


def test_what_counts_is_the_time_and_not_the_number(promises: Promises) -> None:
    with ExitStack() as stack:
        begin(stack, promises, 300, FAST)
        promises.check(Call())


def test_a_few_are_let_in_however_slow_the_model_is(promises: Promises) -> None:
    for _ in range(50):
        with promises.give(SLOW, 1, Call()) as promise, promise.input() as spent:
            spent.device = 10.0
    with ExitStack() as stack:
        begin(stack, promises, FEW)
        with pytest.raises(Overloaded):
            begin(stack, promises, 1)


def test_nothing_is_refused_without_a_limit() -> None:
    promises = Promises(None, workers=1, cores=1)
    with ExitStack() as stack:
        begin(stack, promises, 2000)
        promises.check(Call())


def test_what_could_not_begin_before_its_deadline_is_not_begun(promises: Promises) -> None:
    with ExitStack() as stack:
        begin(stack, promises, 5)
        with pytest.raises(DeadlineExceeded) as caught:
            promises.check(Call(deadline=time.monotonic() + 0.2))
        assert caught.value.reason == "deadline"
        promises.check(Call(deadline=time.monotonic() + 20))


def test_a_call_of_many_inputs_delays_single_ones_by_what_it_runs_at_once(
    promises: Promises,
) -> None:
    """Its other inputs are not queued yet; another call of many waits for them, though."""
    with ExitStack() as stack:
        begin(stack, promises, FEW, FAST)
        stack.enter_context(promises.give(SLOW, 64, Call()))
        promises.check(Call())
        with pytest.raises(Overloaded):
            stack.enter_context(promises.give(SLOW, 2, Call()))


def test_inputs_that_are_done_make_room(promises: Promises) -> None:
    with ExitStack() as stack:
        begin(stack, promises, FEW, FAST)
        promise = stack.enter_context(promises.give(SLOW, 6, Call()))
        with pytest.raises(Overloaded):
            stack.enter_context(promises.give(SLOW, 2, Call()))
        for _ in range(3):
            with promise.input() as spent:
                spent.device = 0.1
        stack.enter_context(promises.give(SLOW, 2, Call()))


def test_a_call_that_fails_leaves_nothing_behind(promises: Promises) -> None:
    for _ in range(20):
        with suppress(ZeroDivisionError), promises.give(SLOW, 8, Call()) as promise:
            with promise.input():
                pass
            with promise.input():
                raise ZeroDivisionError
    total = promises._work.total
    assert total.soon == total.whole == total.calls == 0


def test_a_tenant_that_floods_does_not_refuse_another(promises: Promises) -> None:
    with ExitStack() as stack:
        begin(stack, promises, 6, tenant="flood")
        with pytest.raises(Overloaded):
            promises.check(Call(tenant="flood"))
        begin(stack, promises, 2, tenant="other")
        promises.check(Call(tenant="other"))


def test_many_tenants_are_refused_together(promises: Promises) -> None:
    """Names cost nothing: a flood of them must not let everything in."""
    admitted = 0
    with ExitStack() as stack:
        for index in range(200):
            try:
                begin(stack, promises, 1, tenant=f"tenant-{index}")
            except Overloaded:
                continue
            admitted += 1
    assert admitted < 20


def test_processor_time_counts_where_a_call_needs_no_device() -> None:
    promises = Promises(0.5, workers=1, cores=1)
    for _ in range(100):
        with promises.give(SLOW, 1, Call()) as promise, promise.input():
            sum(range(1000))
    assert 0 < promises._seconds[SLOW] < 0.01


def test_who_is_patient_waits_for_room(promises: Promises) -> None:
    entered = threading.Event()

    def patient() -> None:
        with promises.give(SLOW, 1, Call(), patient=True):
            entered.set()

    with ExitStack() as stack:
        begin(stack, promises, 6)
        thread = threading.Thread(target=patient)
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(30)
    thread.join()


def test_who_is_patient_leaves_room_for_single_calls(promises: Promises) -> None:
    """It begins where no more than half of the time is taken."""
    call = Call(deadline=time.monotonic() + 0.05)
    with ExitStack() as stack:
        begin(stack, promises, 4)
        with pytest.raises(DeadlineExceeded):
            stack.enter_context(promises.give(SLOW, 1, call, patient=True))
        promises.check(Call())


def test_who_hangs_up_waits_no_longer(promises: Promises) -> None:
    call = Call()
    with ExitStack() as stack:
        begin(stack, promises, 6)
        threading.Timer(0.02, call.cancelled.set).start()
        with pytest.raises(Cancelled):
            stack.enter_context(promises.give(SLOW, 1, call, patient=True))


def test_who_makes_way_goes_on_when_the_last_call_ended(promises: Promises) -> None:
    went = threading.Event()

    def background() -> None:
        promises.make_way(60)
        went.set()

    with ExitStack() as stack:
        begin(stack, promises, 2)
        thread = threading.Thread(target=background)
        thread.start()
        assert not went.wait(0.05)
    assert went.wait(30)
    thread.join()


def test_who_makes_way_waits_for_nobody_where_nobody_is(promises: Promises) -> None:
    start = time.monotonic()
    promises.make_way(60)
    assert time.monotonic() - start < 30


def test_way_is_made_for_a_moment_only(promises: Promises) -> None:
    """Calls that follow each other without end keep nobody from going on."""
    with ExitStack() as stack:
        begin(stack, promises, 1)
        promises.make_way(0.01)
        assert promises.expected() > 0


def test_calls_of_lately_are_remembered() -> None:
    promises = Promises(None, workers=1, cores=1)
    assert not promises.lately(60)
    with promises.give(FAST, 1, Call()):
        assert promises.lately(0)
    assert promises.lately(60)
    assert not promises.lately(0)
