"""Classes of work on threads of their own."""

import os
import threading

import pytest

from pellucid_server.runtime.lanes import lanes_apart, niceness, starting_threads
from pellucid_server.runtime.scheduling import Priority

INTERACTIVE, EXPLAIN, BULK = Priority
WEIGHTS = {0: 1024, 5: 335, 10: 110, 13: 56, 15: 36, 19: 15}
"""Of the kernel's scheduler, by nice value: kernel/sched/core.c, sched_prio_to_weight."""


@pytest.mark.parametrize("nice", [nice for nice in WEIGHTS if nice])
def test_the_kernel_gives_about_the_share(nice: int) -> None:
    assert niceness(WEIGHTS[nice] / WEIGHTS[0]) == nice


def test_no_share_is_the_least_that_the_kernel_has() -> None:
    assert niceness(0) == niceness(1e-9) == 19
    assert niceness(0.999) == 1


def test_every_class_has_one_lane() -> None:
    first, others = lanes_apart({EXPLAIN: 0.05, BULK: 0.01})
    assert (first.classes, first.nice) == ((INTERACTIVE,), 0)
    assert (others.classes, others.nice) == ((EXPLAIN, BULK), niceness(0.05))


def nice_of_new_thread() -> int:
    found = []
    thread = threading.Thread(
        target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    )
    thread.start()
    thread.join()
    return found[0]


def test_threads_started_by_the_work_are_nice_and_others_are_not() -> None:
    before = nice_of_new_thread()
    assert starting_threads(7, nice_of_new_thread) == min(before + 7, 19)
    assert starting_threads(0, nice_of_new_thread) == before
    assert nice_of_new_thread() == before


def test_an_error_of_the_work_is_its_caller_s() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        starting_threads(7, fail)
