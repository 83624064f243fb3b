"""Which predicted objects of one image are annotated, as COCO and VOC decide it.

COCO: https://github.com/cocodataset/cocoapi, `evaluateImg`. VOC: Everingham et al. 2010,
https://doi.org/10.1007/s11263-009-0275-4, section 4.2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.report import NOTHING
from pellucid_server.types import Array

IOUS = np.linspace(0.5, 0.95, 10)
AREAS = np.array([(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)])
"""Least and greatest pixels of all, small, medium and large objects."""
BITS = (1 << np.arange(len(IOUS))).astype(np.uint16)
"""A bit for each of `IOUS`."""
RIGHT, WRONG, NEITHER = 1, 0, -1

RECORD = np.dtype(
    [
        ("class_id", "<i4"),
        ("score", "<f4"),
        ("right", "<u2", len(AREAS)),
        ("ignored", "<u2", len(AREAS)),
        ("rank", "u1"),
        ("voc", "i1"),
    ]
)
"""A predicted object, in 26 bytes: `right` and `ignored` have a bit for each of `IOUS`, for
each of `AREAS`; `rank` is its place among those of its class in the image, from 0; `voc` is
`RIGHT`, `WRONG` or `NEITHER`."""


@dataclass(frozen=True)
class Predicted:
    """Objects of one image, highest score first."""

    class_ids: NDArray[np.int32]
    scores: NDArray[np.float32]
    areas: NDArray[np.float64]


@dataclass(frozen=True)
class Annotated:
    """Objects of one image; matching those of `crowd` or `difficult` counts as nothing."""

    class_ids: NDArray[np.int32]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """Those that need not be found."""
        return self.crowd | self.difficult

    def counted(self) -> NDArray[np.bool_]:
        """Those to find, areas x objects."""
        inside = within(self.areas)
        return np.asarray(inside & ~self.ignored)


@dataclass(frozen=True)
class Matches:
    """What became of each predicted object; `truths` are matches at the first IoU, -1: none."""

    records: Array
    truths: NDArray[np.int64]


def within(areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `AREAS` each object is of, areas x objects."""
    least, greatest = AREAS[:, :1], AREAS[:, 1:]
    return np.asarray((areas >= least) & (areas <= greatest))


def match(predicted: Predicted, annotated: Annotated, ious: NDArray[np.float64]) -> Matches:
    """Matches objects of equal class; `ious` are predicted x annotated."""
    count = len(predicted.scores)
    records, truths = np.zeros(count, RECORD), np.full(count, -1)
    records["class_id"], records["score"] = predicted.class_ids, predicted.scores
    records["ignored"] = np.where(within(predicted.areas).T, 0, BITS.sum())
    for class_id in np.unique(predicted.class_ids):
        rows = np.flatnonzero(predicted.class_ids == class_id)
        records["rank"][rows] = np.minimum(np.arange(len(rows)), 255)
        columns = np.flatnonzero(annotated.class_ids == class_id)
        if len(columns):
            overlaps = ious[np.ix_(rows, columns)]
            chosen = _coco(records, rows, overlaps, annotated, columns)
            truths[rows] = np.where(chosen < 0, -1, columns[chosen])
            records["voc"][rows] = _voc(overlaps, annotated.ignored[columns])
    return Matches(records, truths)


def _coco(
    records: Array,
    rows: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    annotated: Annotated,
    columns: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Fills the records in, and gives the columns matched at the first IoU, all areas."""
    ignored = ~annotated.counted()[:, None, columns]
    crowd = annotated.crowd[columns]
    free = np.ones((len(AREAS), len(IOUS), len(columns)), np.bool_)
    least = np.minimum(IOUS, 1 - 1e-10)[:, None]
    first = np.full(len(rows), -1)
    for place, (row, overlap) in enumerate(zip(rows, overlaps, strict=True)):
        possible = free & (overlap >= least)
        if not possible.any():
            continue
        wanted = possible & ~ignored
        best = np.where(wanted.any(2), _last_best(overlap, wanted), _last_best(overlap, possible))
        found = possible.any(2)
        spare = found & np.take_along_axis(ignored[:, 0], best, 1)
        taken = (np.arange(len(columns)) == best[..., None]) & found[..., None]
        free &= ~taken | crowd
        records["right"][row] = (found & ~spare) @ BITS
        records["ignored"][row] = (
            np.where(found, spare, records["ignored"][row][:, None] > 0) @ BITS
        )
        first[place] = best[0, 0] if found[0, 0] else -1
    return first


def _last_best(overlap: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last column of the highest overlap among those allowed."""
    values = np.where(allowed, overlap, -1.0)[..., ::-1]
    return np.asarray(values.shape[-1] - 1 - values.argmax(-1))


def _voc(overlaps: NDArray[np.float64], ignored: NDArray[np.bool_]) -> list[int]:
    """An object is right where the one that it overlaps most is not taken yet."""
    taken: set[int] = set()
    found = []
    for best, overlap in zip(overlaps.argmax(1).tolist(), overlaps.max(1), strict=True):
        if overlap < IOUS[0]:
            found.append(WRONG)
        elif ignored[best]:
            found.append(NEITHER)
        else:
            found.append(WRONG if best in taken else RIGHT)
            taken.add(best)
    return found


def compared(
    matches: Matches, annotated: Annotated, ious: NDArray[np.float64], threshold: float
) -> list[tuple[int, int]]:
    """Annotated and predicted class of every object, for predictions from a confidence on.

    An object that matches nothing of its class is paired with what it overlaps most, if
    that is unmatched too, and with `NOTHING` otherwise; the more confident choose first.
    """
    kept = matches.records["score"] >= np.float32(threshold)
    said, told = matches.records["class_id"].tolist(), annotated.class_ids.tolist()
    partner = np.where(kept, matches.truths, -1)
    missed = ~annotated.ignored
    missed[partner[partner >= 0]] = False
    pairs = []
    for row in np.flatnonzero(kept).tolist():
        if partner[row] < 0:
            partner[row] = _free(ious[row], missed)
        elif annotated.ignored[partner[row]]:
            continue
        pairs.append((told[partner[row]] if partner[row] >= 0 else NOTHING, said[row]))
    return pairs + [(told[each], NOTHING) for each in np.flatnonzero(missed).tolist()]


def _free(ious: NDArray[np.float64], missed: NDArray[np.bool_]) -> int:
    """The missed object of another class that is overlapped most, which is then taken; or -1."""
    if not missed.any():
        return -1
    best = int(np.where(missed, ious, -1).argmax())
    if ious[best] < IOUS[0]:
        return -1
    missed[best] = False
    return best
