"""What a method of explanation is: a function over callables, with typed parameters."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.masks import MaskBlock, MaskTables
from pellucid_server.types import Size, Task

Maps = NDArray[np.float32]
"""Targets x height x width."""


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
    """How far a method is; the maps and their errors are computed where they are asked for."""

    done: int
    maps: Callable[[], Maps]
    correlations: tuple[float | None, ...] = ()
    """For each target how well its map correlates (Pearson) with the one that endless work
    would give: an estimate on the safe side, None while too little is known. Empty for
    methods that draw nothing at random."""
    spreads: tuple[float | None, ...] = ()
    """For each target the root mean square of its map's standard error, known with the former."""
    standard_errors: Callable[[], Maps | None] = lambda: None
    """Of each pixel of each map; None while too little is known."""


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
    """Units of work that a call with these parameters takes."""
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
) -> Callable[[F], F]:
    """Registers a function as a method of explanation."""

    def register(run: F) -> F:
        METHODS[name] = Method(name, description, reference, parameters, tasks, units, run)
        return run

    return register
