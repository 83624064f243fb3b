"""Masks of annotations, checked, as COCO's run lengths."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faster_coco_eval.core import mask as coco

from pellucid_server.evaluate.annotations import Object
from pellucid_server.evaluate.evaluator import BadAnnotation
from pellucid_server.types import Size

Rle = dict[str, Any]


def rle(counts: str, size: Size) -> Rle:
    """Run lengths as the library takes them."""
    return {"size": list(size), "counts": counts.encode()}


def annotated_mask(found: Object, size: Size) -> str | None:
    """COCO's compressed run lengths of an object; None where it has no mask.

    Raises:
        BadAnnotation: the mask is not one of an image of this size.
    """
    if found.rle is not None:
        runs = {"size": list(size), "counts": _runs(found.rle, size)}
        return _text(coco.frPyObjects(runs, *size))
    if found.polygons:
        outlines = [_outline(each, size) for each in found.polygons]
        return _text(coco.merge(coco.frPyObjects(outlines, *size)))
    return None


def _text(encoded: Rle) -> str:
    counts: bytes = encoded["counts"]
    return counts.decode()


def _outline(polygon: Sequence[float], size: Size) -> list[float]:
    """The corners; far ones are refused, for drawing takes room for every pixel passed."""
    if len(polygon) < 6 or len(polygon) % 2:
        raise BadAnnotation(f"an outline has {len(polygon)} numbers: it needs x and y of 3 corners")
    for axis, extent in enumerate((size.width, size.height)):
        if not all(-extent <= each <= 2 * extent for each in polygon[axis::2]):
            raise BadAnnotation(
                f"an outline lies far outside of the image of {size.width} x {size.height}"
            )
    return list(polygon)


def _runs(found: Mapping[str, object], size: Size) -> list[int]:
    """Run lengths that cover the image."""
    given, counts = found.get("size"), found.get("counts")
    if not isinstance(given, Sequence) or list(given) != list(size):
        raise BadAnnotation(
            f"a mask's size is {given} and the image's {list(size)} (height, width)"
        )
    try:
        runs = _lengths(counts)
    except (TypeError, ValueError, IndexError) as error:
        raise BadAnnotation(f"a mask's run lengths cannot be read: {error}") from error
    if min(runs, default=0) < 0 or sum(runs) != math.prod(size):
        raise BadAnnotation(
            f"a mask's run lengths are of {sum(runs)} pixels and the image has {math.prod(size)}"
        )
    return runs


def _lengths(counts: object) -> list[int]:
    if isinstance(counts, str | bytes):
        text = counts.encode("ascii") if isinstance(counts, str) else counts
        return _summed(list(_numbers(text)))
    if isinstance(counts, Sequence):
        return [_whole(each) for each in counts]
    raise TypeError("counts are neither numbers nor a text")


def _whole(value: object) -> int:
    if isinstance(value, int):
        return value
    raise TypeError(f"{value!r} is no whole number")


def _numbers(text: bytes) -> Iterator[int]:
    """Numbers of 5 bits a character, least first; 32: more follow; the last has the sign."""
    value = shift = 0
    for character in text:
        part = character - 48
        if not 0 <= part < 64 or shift > 30:
            raise ValueError(f"{chr(character)!r} is out of place")
        value |= (part & 31) << shift
        shift += 5
        if not part & 32:
            yield value - (1 << shift) if part & 16 else value
            value = shift = 0
    if shift:
        raise ValueError("the end is missing")


def _summed(numbers: list[int]) -> list[int]:
    """From the fourth on numbers are differences to the one before the last."""
    for index in range(3, len(numbers)):
        numbers[index] += numbers[index - 2]
    return numbers
