"""Many items in work at once, results in order, and a pulse for whoever must do other things."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as NotYet
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items; the last may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def in_order(
    executor: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
    pulse: float,
) -> Iterator[Result | None]:
    """The result of each item, in order; None whenever `pulse` seconds passed without one.

    At most `ahead` items are in work. What an item raises is raised in its place; the items
    after it are left, and those in work are waited for.
    """
    waiting: deque[Future[Result]] = deque()
    coming = iter(items)
    try:
        while True:
            waiting.extend(
                executor.submit(work, item) for item in islice(coming, ahead - len(waiting))
            )
            if not waiting:
                return
            try:
                result = waiting[0].result(pulse)
            except NotYet:
                if waiting[0].done():  # raised by the work itself
                    raise
                yield None
                continue
            waiting.popleft()
            yield result
    finally:
        for future in waiting:
            future.cancel()
        for future in waiting:
            if not future.cancelled():
                future.exception()
