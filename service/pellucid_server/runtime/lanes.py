"""Threads of a device by the classes of work that they serve, and how some give way to others."""

import math
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from pellucid_server.runtime.scheduling import ALL, Classes, Priority

T = TypeVar("T")
STEP = 1.25
"""Between the weights of two nice values: sched(7)."""
NICEST = 19


@dataclass(frozen=True)
class Lane:
    """Threads that serve some classes.

    `nice` is that of the threads which compute, not of ours: one of ours that had to wait for a
    core would keep Python's lock from all others.
    """

    classes: Classes = ALL
    nice: int = 0


SHARED = (Lane(),)
"""All classes on the same threads, each unit in its turn."""


def lanes_apart(shares: Mapping[Priority, float]) -> tuple[Lane, Lane]:
    """Interactive work on threads of its own: the kernel lets it pass the others in mid-inference.

    Waiting for the end of an inference would cost Predict up to the time of one more. What passes
    leaves the others their share, so they share one nice value: the larger share's.
    """
    others = tuple(each for each in Priority if each is not Priority.INTERACTIVE)
    return Lane((Priority.INTERACTIVE,)), Lane(others, niceness(max(shares.values(), default=0)))


def niceness(share: float) -> int:
    """The nice value whose weight, beside one of 0, is nearest to a share."""
    if share <= 0:
        return NICEST
    return min(max(round(-math.log(share, STEP)), 1), NICEST)


def starting_threads(nice: int, work: Callable[[], T]) -> T:
    """Does work whose new threads get a nice value: they take it from the one that starts them."""
    if nice == 0:
        return work()
    done: Future[T] = Future()
    # A daemon: one that hangs must not keep the process from its end.
    threading.Thread(target=_nicely, args=(nice, work, done), name="nice", daemon=True).start()
    return done.result()


def _nicely(nice: int, work: Callable[[], T], done: "Future[T]") -> None:
    os.nice(nice)
    try:
        done.set_result(work())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is for who waits
        done.set_exception(error)
