"""Weighted sums of masks, which upsample sums of grids instead of grids."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.designs import Design
from pellucid_server.explain.masks import MaskBlock, MaskTables

Real = NDArray[np.float64]
Sums = NDArray[np.floating]

PIECE, SLICE, ROWS = 8192, 256, 32
"""Masks looked at together, and masks and rows of one product: all bound the memory."""
SHARED = 8
"""Masks to a shift from which grids are added before anything else."""


def weighted_sums(
    design: Design, tables: MaskTables, weights: Real, start: int = 0, onto: Sums | None = None
) -> Sums:
    """Sum of a design's masks from `start` on, each weighted: targets x height x width.

    `weights` is masks x targets. Sums are in an order that depends on the number of masks
    alone, and in float64, or added to what stands in `onto` in its precision: to pass over
    maps once more costs as much as the sums.
    """
    count, targets = weights.shape
    sums = np.zeros((targets, *tables.size)) if onto is None else onto
    for first in range(0, count, PIECE):
        last = min(first + PIECE, count)
        _add(_piece(design, start + first, start + last), tables, weights[first:last], sums)
    return sums


@lru_cache(maxsize=1)
def _piece(design: Design, start: int, stop: int) -> MaskBlock:
    """Drawn once for all targets."""
    return MaskBlock.join(list(_blocks(design, start, stop)))


def _blocks(design: Design, start: int, stop: int) -> Iterator[MaskBlock]:
    at = start
    while at < stop:
        block = design.block(at)[: stop - at]
        yield block
        at += len(block)


def _add(block: MaskBlock, tables: MaskTables, weights: Real, sums: Sums) -> None:
    if tables.clip:
        _add_rendered(block, tables, weights, sums)
        return
    keys = block.shifts[:, 0] * tables.shifts[1] + block.shifts[:, 1]
    if SHARED * len(np.unique(keys)) <= len(block):
        _add_grids(block, keys, tables, weights, sums)
    else:
        _add_strips(block, tables, weights, sums)


def _add_grids(
    block: MaskBlock, keys: NDArray[np.int32], tables: MaskTables, weights: Real, sums: Sums
) -> None:
    """Adds up grids of the same shift, which has the same key, then upsamples their sums.

    The latter in float32, as in `_upsample`.
    """
    keys, firsts, kinds = np.unique(keys, return_index=True, return_inverse=True)
    cells, targets, width = block.grids.shape[1], weights.shape[1], tables.size.width
    strips = np.empty((len(keys), cells, targets, width), np.float32)
    shifts = block.shifts[firsts]
    for kind, (_, right) in enumerate(shifts):
        members = np.flatnonzero(kinds == kind)
        added = weights[members].T @ block.grids[members].reshape(len(members), -1)
        grids = added.reshape(targets, cells, cells).astype(np.float32)
        strips[kind] = (grids @ tables.columns[right].T).swapaxes(0, 1)
    _upsample(shifts[:, 0], strips, tables, sums)


def _add_strips(block: MaskBlock, tables: MaskTables, weights: Real, sums: Sums) -> None:
    """Adds up grids while their rows are few: sum_i w_i R_dy G_i C_dx^T, one dy after another.

    A product with the columns' table turns each grid into a strip, cells x width; strips of
    the same dy are added, weighted, and only their sums are upsampled along the rows.
    """
    order = np.argsort(block.shifts[:, 0], kind="stable")
    downs, firsts = np.unique(block.shifts[order, 0], return_index=True)
    cells, targets, width = block.grids.shape[1], weights.shape[1], tables.size.width
    strips = np.zeros((len(downs), cells, targets, width))
    for index, members in enumerate(np.split(order, firsts[1:])):
        for first in range(0, len(members), SLICE):
            some = members[first : first + SLICE]
            columns = tables.columns[block.shifts[some, 1]].astype(np.float64)
            flat = (block.grids[some] @ columns.transpose(0, 2, 1)).reshape(len(some), -1)
            added = (weights[some].T @ flat).reshape(targets, cells, width)
            strips[index] += added.swapaxes(0, 1)
    _upsample(downs, strips, tables, sums)


def _upsample(downs: NDArray[np.int32], strips: Sums, tables: MaskTables, sums: Sums) -> None:
    """Adds strips, upsampled along the rows by their shifts: few large products.

    In float32, as maps are: of the few terms of a pixel that costs 1e-7 of them.
    """
    _, _, targets, width = strips.shape
    height = tables.size.height
    rows = tables.rows[downs].transpose(1, 0, 2).reshape(height, -1)
    flattened = strips.reshape(rows.shape[1], -1).astype(np.float32, copy=False)
    for top in range(0, height, ROWS):
        part = slice(top, top + ROWS)
        upsampled = (rows[part] @ flattened).reshape(-1, targets, width)
        sums[:, part] += upsampled.swapaxes(0, 1)


def _add_rendered(block: MaskBlock, tables: MaskTables, weights: Real, sums: Sums) -> None:
    """Adds up whole masks, which clipping makes no longer linear in their grids."""
    for first in range(0, len(block), SLICE):
        part = slice(first, first + SLICE)
        masks = block[part].render(tables).astype(np.float64)
        sums += (weights[part].T @ masks.reshape(len(masks), -1)).reshape(sums.shape)
