"""What a method of explanation is: a function over callables, with typed parameters."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.masks import MaskBlock, MaskTables
from pellucid_server.types import Size, Task

Map = NDArray[np.float32]
"""Height x width."""


class Problem(Protocol):
    """What a method may ask about the model and the image at hand."""

    @property
    def size(self) -> Size:
        """Rows and columns of the model's input, and so of the maps."""
        ...

    @property
    def targets(self) -> Sequence[int]:
        """Columns of the scores to explain."""
        ...

    def masked_scores(
        self, tables: MaskTables, blocks: Iterable[MaskBlock], fill: float
    ) -> Iterator[tuple[MaskBlock, NDArray[np.float32]]]:
        """Each block of masks with its scores, masks x targets, in the order of the blocks.

        Masks are rendered with `tables`, which has the problem's size. What a mask hides is
        replaced with `fill`, in the model's normalised units.
        """
        ...


@dataclass(frozen=True)
class Progress:
    """How far a method is; maps and errors come one by one and are computed on the way."""

    done: int
    maps: Callable[[], Iterator[Map]]
    """That of each target, in order."""
    correlations: tuple[float | None, ...] = ()
    """For each target how well its map correlates (Pearson) with the one that endless work
    would give: an estimate on the safe side, None while too little is known. Empty for
    methods that draw nothing at random."""
    spreads: tuple[float | None, ...] = ()
    """For each target the root mean square of its map's standard error, known with the former."""
    standard_errors: Callable[[], Iterator[Map]] = lambda: iter(())
    """Of each pixel of each map; none while too little is known."""


Run = Callable[[Problem, Any], Iterator[Progress]]


@dataclass(frozen=True)
class Method:
    """A method of explanation; the last progress of `run` carries the final maps."""

    name: str
    description: str
    reference: str
    parameters: type[Any]
    tasks: tuple[Task, ...]
    units: Callable[[Any], int]
    """Units of work that a call with these parameters takes, at most."""
    fewest: Callable[[Any], int]
    """And at least, where it may stop early."""
    run: Run


METHODS: dict[str, Method] = {}
F = TypeVar("F", bound=Run)


def method(
    name: str,
    *,
    description: str,
    reference: str,
    parameters: type[Any],
    tasks: tuple[Task, ...],
    units: Callable[[Any], int],
    fewest: Callable[[Any], int] | None = None,
) -> Callable[[F], F]:
    """Registers a function as a method of explanation."""

    def register(run: F) -> F:
        METHODS[name] = Method(
            name, description, reference, parameters, tasks, units, fewest or units, run
        )
        return run

    return register
