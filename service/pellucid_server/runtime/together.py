"""Predictions of one model that wait at the same time, run in one inference.

None waits for company: only where more wait than there are threads to take them do some go
together, so that a server that is not overrun answers as fast as before.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import numpy as np

from pellucid_server.runtime.scheduling import Scheduler, Taken
from pellucid_server.runtime.units import Unit
from pellucid_server.runtime.variants import OF_IMAGE, OfImage
from pellucid_server.types import Outputs

Group = Sequence[Taken[Unit]]


def gather(scheduler: Scheduler[Unit], taken: Taken[Unit], most: int, now: float) -> Group:
    """A unit that was taken and those that are next, as long as they are alike."""
    group = [taken]
    while len(group) < most:
        other = scheduler.company(taken, now, partial(alike, taken.unit))
        if other is None:
            break
        group.append(other)
    for other in reversed(group[next(sizes(len(group)), 1) :]):
        scheduler.give_back(other)
        group.remove(other)
    return group


def can_join(unit: Unit) -> bool:
    """Whether a unit may run beside others: it takes one image, and nothing but the image."""
    return unit.joins and unit.variant == OF_IMAGE and len(unit.feeds) == 1 and not unit.series


def alike(unit: Unit, other: Unit) -> bool:
    """Whether two units may run together."""
    return (
        unit.model is other.model
        and can_join(other)
        and not other.failed_on
        and not other.call.cancelled.is_set()
        and _shapes(unit) == _shapes(other)
    )


def sizes(most: int) -> Iterator[int]:
    """How many may go together, the most first: each is compiled on its own."""
    size = 1 << (max(most, 1).bit_length() - 1)
    while size > 1:
        yield size
        size //= 2


def joined(units: Sequence[Unit]) -> Unit:
    """One unit of several that are alike."""
    first = units[0]
    feeds = {name: np.concatenate([each.feeds[name] for each in units]) for name in first.feeds}
    variant = OfImage(len(units))
    return replace(first, variant=variant, feeds=feeds, images=len(units), future=Future())


def parted(outputs: Outputs, count: int) -> list[Outputs]:
    """The outputs of each of several units."""
    return [
        {name: values[index : index + 1] for name, values in outputs.items()}
        for index in range(count)
    ]


def separate(group: Group) -> None:
    """Has each of several units run alone from now on."""
    for taken in group:
        taken.unit.joins = False


def _shapes(unit: Unit) -> list[tuple[int, ...]]:
    return [values.shape for values in unit.feeds.values()]
