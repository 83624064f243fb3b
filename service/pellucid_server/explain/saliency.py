"""RISE's estimator: maps from scores, for any number of targets at low cost."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.designs import Design
from pellucid_server.explain.masks import MaskBlock, MaskTables
from pellucid_server.explain.method import Maps

Real = NDArray[np.float64]

TARGETS = 16
"""Targets whose maps are added up together: what they need fits a cache."""
PIECE, SLICE, ROWS = 8192, 256, 32
"""Masks looked at together, and masks and rows of one product: all bound the memory."""


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

    def maps(self) -> Maps:
        """S_c = b_c + 1 / (N p) sum_i (f_c(x * m_i) - b_c) m_i: eq. 6 of the paper for b = 0.

        For every b the limit is the same, E[f_c m] / p. With b the mean score, a control
        variate, the map does not follow how often each pixel happened to be visible.
        """
        scores = self.scores
        level = self.level(scores)
        shown = self._shown(len(scores))
        maps = np.empty((scores.shape[1], *self.tables.size), np.float32)
        scratch = np.empty((min(TARGETS, len(maps)), *self.tables.size))
        for chunk in _chunks(len(maps)):
            weights = scores[:, chunk] - level[chunk]
            sums = weighted_sums(self.design, self.tables, weights, scratch)
            sums /= shown
            maps[chunk] = np.add(sums, level[chunk, None, None], out=sums)
        return maps

    def _shown(self, count: int) -> Real:
        """How many of the masks show each pixel, as expected or as counted."""
        if self.normalizer == "expected":
            return np.asarray(count * self.design.prob)
        counted = weighted_sums(self.design, self.tables, np.ones((count, 1)))[0]
        return np.asarray(np.maximum(counted, 1e-12))

    def standard_errors(self) -> Maps | None:
        """Of each pixel of each map, from how the strata differ; None for fewer than two."""
        scores = self.scores
        if len(scores) < 2 * self.design.stratum:
            return None
        errors = np.empty((scores.shape[1], *self.tables.size), np.float32)
        for chunk in _chunks(scores.shape[1]):
            errors[chunk] = self._errors(scores[:, chunk])
        return errors

    def _errors(self, scores: Real) -> Real:
        size = self.design.stratum
        strata = len(scores) // size
        scores = scores[: strata * size]
        level = self.level(scores)
        shown = self._shown(len(scores)) / strata
        mean = weighted_sums(self.design, self.tables, scores - level) / (shown * strata)
        squares = np.zeros_like(mean)
        for index in range(strata):
            part = slice(index * size, (index + 1) * size)
            weights = scores[part] - level
            block = MaskBlock.join(list(_blocks(self.design, part.start, part.stop)))
            masks = block.render(self.tables).reshape(size, -1)
            own = masks.sum(0).reshape(mean.shape[1:]) if shown.ndim else shown
            sums = (weights.T.astype(np.float32) @ masks).reshape(mean.shape)
            squares += ((sums - mean * own) / shown) ** 2
        return np.asarray(np.sqrt(squares / (strata * (strata - 1))))


def _chunks(targets: int) -> Iterator[slice]:
    for first in range(0, targets, TARGETS):
        yield slice(first, first + TARGETS)


def weighted_sums(
    design: Design, tables: MaskTables, weights: Real, scratch: Real | None = None
) -> Real:
    """Sum of the design's first masks, each weighted: targets x height x width.

    `weights` is masks x targets. Sums are in float64 and in an order that depends on the
    number of masks alone. They stand in `scratch` where it is given: fresh memory costs the
    system as much time as the sums.
    """
    count, targets = weights.shape
    sums = np.empty((targets, *tables.size)) if scratch is None else scratch[:targets]
    sums[:] = 0
    add = _add_rendered if tables.clip else _add_strips
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        piece = MaskBlock.join(list(_blocks(design, start, stop)))
        add(piece, tables, weights[start:stop], sums)
    return sums


def _blocks(design: Design, start: int, stop: int) -> Iterator[MaskBlock]:
    at = start
    while at < stop:
        block = design.block(at)[: stop - at]
        yield block
        at += len(block)


def _add_strips(block: MaskBlock, tables: MaskTables, weights: Real, sums: Real) -> None:
    """Adds up grids while their rows are few: sum_i w_i R_dy G_i C_dx^T, one dy after another.

    A product with the columns' table turns each grid into a strip, cells x width; strips of
    the same dy are added, weighted, and only their sums are upsampled along the rows.
    """
    order = np.argsort(block.shifts[:, 0], kind="stable")
    downs, firsts = np.unique(block.shifts[order, 0], return_index=True)
    cells, targets, (height, width) = block.grids.shape[1], weights.shape[1], tables.size
    strips = np.zeros((len(downs), cells, targets, width))
    for index, members in enumerate(np.split(order, firsts[1:])):
        for first in range(0, len(members), SLICE):
            some = members[first : first + SLICE]
            columns = tables.columns[block.shifts[some, 1]].astype(np.float64)
            flat = (block.grids[some] @ columns.transpose(0, 2, 1)).reshape(len(some), -1)
            added = (weights[some].T @ flat).reshape(targets, cells, width)
            strips[index] += added.swapaxes(0, 1)
    rows = tables.rows[downs].transpose(1, 0, 2).reshape(height, -1).astype(np.float64)
    # Few large products: small ones, target by target, keep BLAS's threads waiting.
    flattened = strips.reshape(len(downs) * cells, -1)
    for top in range(0, height, ROWS):
        part = slice(top, top + ROWS)
        upsampled = (rows[part] @ flattened).reshape(-1, targets, width)
        sums[:, part] += upsampled.swapaxes(0, 1)


def _add_rendered(block: MaskBlock, tables: MaskTables, weights: Real, sums: Real) -> None:
    """Adds up whole masks, which clipping makes no longer linear in their grids."""
    for first in range(0, len(block), SLICE):
        part = slice(first, first + SLICE)
        masks = block[part].render(tables).astype(np.float64)
        sums += (weights[part].T @ masks.reshape(len(masks), -1)).reshape(sums.shape)
