"""A large image in overlapping tiles, and its tiles made one again."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from pellucid_server.types import Array, Size


def tiled(
    image: Array, tile: Size, overlap: int, scale: int, enlarge: Callable[[Array], Array]
) -> Iterator[Array]:
    """Enlarges an image tile by tile; yields its finished rows from the top, in stripes.

    `enlarge` makes height x width x channels `scale` times as large, in real numbers.
    Where tiles overlap, by at least `overlap` pixels, one fades linearly into the next.
    """
    rows = spans(image.shape[0], tile.height, overlap)
    columns = spans(image.shape[1], tile.width, overlap)

    def band(row: slice) -> Array:
        tiles = (enlarge(image[row, column]).swapaxes(0, 1) for column in columns)
        return np.concatenate(list(_faded(tiles, columns, scale))).swapaxes(0, 1)

    return _faded(map(band, rows), rows, scale)


def spans(extent: int, tile: int, overlap: int) -> list[slice]:
    """Evenly spread tiles over an extent, neighbours overlapping by `overlap` or more."""
    if extent <= tile:
        return [slice(0, extent)]
    gaps = math.ceil((extent - tile) / (tile - overlap))
    starts = (round(index * (extent - tile) / gaps) for index in range(gaps + 1))
    return [slice(start, start + tile) for start in starts]


def _faded(pieces: Iterable[Array], places: Sequence[slice], scale: int) -> Iterator[Array]:
    """Joins pieces along the first axis; yields what no further piece touches."""
    starts = [place.start for place in places]
    lengths = [scale * (after - start) for start, after in pairwise([*starts, places[-1].stop])]
    tail: Array | None = None
    for piece, length in zip(pieces, lengths, strict=True):
        joined = piece if tail is None else _fade(tail, piece)
        yield joined[:length]
        tail = joined[length:]


def _fade(tail: Array, piece: Array) -> Array:
    shared = len(tail)
    ramp = ((np.arange(shared, dtype=np.float32) + 0.5) / max(shared, 1))[:, None, None]
    return np.concatenate([tail + ramp * (piece[:shared] - tail), piece[shared:]])
