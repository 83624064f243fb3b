"""RISE's estimator: maps from scores, for any number of targets at low cost."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.designs import Design
from pellucid_server.explain.masks import MaskTables
from pellucid_server.explain.method import Map
from pellucid_server.explain.sums import weighted_sums

Real = NDArray[np.float64]
Result = TypeVar("Result")

TARGETS = 16
"""Targets whose maps are added up together: what they need fits a cache."""


@dataclass
class Saliency:
    """What a run has seen: scores alone, since the masks can be drawn again."""

    design: Design
    tables: MaskTables
    normalizer: str = "expected"
    parts: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, scores: NDArray[np.float32]) -> None:
        """Adds the scores of the masks that come next, masks x targets."""
        self.parts.append(scores)

    @property
    def scores(self) -> Real:
        """Masks x targets."""
        if len(self.parts) > 1:
            self.parts = [np.concatenate(self.parts)]
        return self.parts[0].astype(np.float64)

    def level(self, scores: Real) -> Real:
        """What is taken from each score and added to the map again, for each target."""
        return scores.mean(0) if self.design.centred else np.zeros(scores.shape[1])

    def maps(self) -> Iterator[Map]:
        """S_c = b_c + 1 / (N p) sum_i (f_c(x * m_i) - b_c) m_i: eq. 6 of the paper for b = 0.

        For every b the limit is the same, E[f_c m] / p. With b the mean score, a control
        variate, the map does not follow how often each pixel happened to be visible. Maps come
        one after another: for a thousand targets they would fill 200 MB.
        """
        scores = self.scores
        level, shown = self.level(scores), self._shown(len(scores))

        def some(chunk: slice) -> NDArray[np.float32]:
            weights, levels = scores[:, chunk] - level[chunk], level[chunk, None, None]
            if shown.ndim:
                sums = weighted_sums(self.design, self.tables, weights)
                return (sums / shown + levels).astype(np.float32)
            maps = np.empty((weights.shape[1], *self.tables.size), np.float32)
            maps[:] = levels
            weighted_sums(self.design, self.tables, weights / shown, onto=maps)
            return maps

        for maps in _ahead(some, list(_chunks(scores.shape[1]))):
            yield from maps

    def _shown(self, count: int) -> Real:
        """How many of the masks show each pixel, as expected or as counted."""
        if self.normalizer == "expected":
            return np.asarray(count * self.design.prob)
        counted = weighted_sums(self.design, self.tables, np.ones((count, 1)))[0]
        return np.asarray(np.maximum(counted, 1e-12))

    def standard_errors(self) -> Iterator[Map]:
        """Of each pixel of each map, from how the strata differ; none for fewer than two."""
        scores = self.scores
        strata = len(scores) // self.design.stratum
        if strata < 2:
            return
        kept = scores[: strata * self.design.stratum]
        for chunk in _chunks(scores.shape[1]):
            yield from self._errors(kept[:, chunk], strata).astype(np.float32)

    def _errors(self, scores: Real, strata: int) -> Real:
        level = self.level(scores)
        weights = np.column_stack([scores - level, np.ones(len(scores))])
        shown = self._shown(len(scores)) / strata
        mean = weighted_sums(self.design, self.tables, scores - level) / (shown * strata)
        squares, sums = np.zeros_like(mean), np.empty((len(mean) + 1, *self.tables.size))
        for start in range(0, len(scores), self.design.stratum):
            part = weights[start : start + self.design.stratum]
            sums[:] = 0
            *stratum, visible = weighted_sums(self.design, self.tables, part, start, onto=sums)
            own = visible if shown.ndim else shown
            squares += ((np.asarray(stratum) - mean * own) / shown) ** 2
        return np.asarray(np.sqrt(squares / (strata * (strata - 1))))


def _ahead(work: Callable[[slice], Result], items: Sequence[slice]) -> Iterator[Result]:
    """Each item's result; the next one is worked on while the last is taken care of."""
    if len(items) == 1:
        yield work(items[0])
        return
    with ThreadPoolExecutor(1, "maps") as thread:
        coming = thread.submit(work, items[0])
        for item in items[1:]:
            result, coming = coming.result(), thread.submit(work, item)
            yield result
        yield coming.result()


def _chunks(targets: int) -> Iterator[slice]:
    for first in range(0, targets, TARGETS):
        yield slice(first, first + TARGETS)
