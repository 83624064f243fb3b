"""Which part of a data set is evaluated."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Objects, Sample

_ALL = ("",)
Rows = Iterable[Sample | Flaw]


@dataclass(frozen=True)
class Subset:
    """At most `size` samples, or so many of each class; 0: all."""

    size: int = 0
    random: bool = False
    """Every subset is as likely; or else the first."""
    seed: int = 0
    per_class: bool = False


def take(rows: Callable[[], Rows], subset: Subset) -> Iterator[Sample | Flaw]:
    """The subset, in the order of the data set.

    `rows` starts to read the data set; a random subset reads it twice, and holds as many numbers
    as it takes samples. The draw depends on the seed and on the number of samples (of each
    class) alone, and a smaller subset of one seed is part of a larger one. Flaws are not
    samples: those before the last sample taken are passed along, so that what was read on the
    way is reported, and all of them where the data set has fewer samples than `size`.

    Of each class `size` samples are taken that show it; one that shows several counts for each,
    and is taken where one of them takes it.

    Raises:
        InvalidInput: the size is negative, or classes are asked for where there are none.
    """
    if subset.size < 0:
        raise InvalidInput("must not be negative; 0: all", field="subset.size")
    if subset.size == 0:
        return iter(rows())
    if subset.random or subset.per_class:
        return _picked(rows, subset)
    return _first(rows(), subset.size)


def _first(rows: Rows, size: int) -> Iterator[Sample | Flaw]:
    taken = 0
    for row in rows:
        yield row
        taken += isinstance(row, Sample)
        if taken == size:
            return


def _picked(rows: Callable[[], Rows], subset: Subset) -> Iterator[Sample | Flaw]:
    picked = _draw(rows(), subset)
    if len(picked) < subset.size and not subset.per_class:
        yield from rows()
        return
    index = -1
    for row in rows() if picked else ():
        index += isinstance(row, Sample)
        if isinstance(row, Flaw):
            yield row
        elif index in picked:
            yield row
            picked.remove(index)
            if not picked:
                return


def _draw(rows: Rows, subset: Subset) -> set[int]:
    """Indices among the samples: those of the smallest keys, of all or of each class."""
    # Python keeps the sequence of `random()` from version to version; text makes -1 not 1.
    keys = random.Random(f"{subset.seed}")  # noqa: S311 # not for secrets
    heaps: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    index = -1
    for index, sample in enumerate(row for row in rows if isinstance(row, Sample)):
        key = keys.random() if subset.random else index
        for name in _classes(sample) if subset.per_class else _ALL:
            heap = heaps[name]
            keep = heapq.heappush if len(heap) < subset.size else heapq.heappushpop
            keep(heap, (-key, -index))
    if subset.per_class and index >= 0 and not heaps:
        raise _without_classes()
    return {-index for heap in heaps.values() for _, index in heap}


def _classes(sample: Sample) -> Collection[str]:
    match sample.annotation:
        case Labels(names):
            return set(names)
        case Objects(objects):
            return {found.label for found in objects}
        case None:
            return ()
    raise _without_classes()


def _without_classes() -> InvalidInput:
    return InvalidInput(
        "the data set has no classes of images or objects; leave `per_class` out",
        field="subset.per_class",
    )
