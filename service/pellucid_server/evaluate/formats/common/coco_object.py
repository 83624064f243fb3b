"""One annotation of COCO, checked."""

import math
from collections.abc import Mapping
from reprlib import repr as brief
from typing import Any

from pellucid_server.evaluate.annotations import Object
from pellucid_server.evaluate.formats.common.boxes import checked_box
from pellucid_server.evaluate.formats.common.coco_file import Key
from pellucid_server.evaluate.formats.common.rows import BadRow
from pellucid_server.types import Box, Size

Polygons = tuple[tuple[float, ...], ...]


def read_label(fields: Mapping[str, Any], categories: Mapping[Key, str]) -> str:
    """Name of the class.

    Raises:
        BadRow: there is no such class.
    """
    category = fields["category_id"]
    known = isinstance(category, int | str) and not isinstance(category, bool)
    if known and category in categories:
        return categories[category]
    raise BadRow(f"there is no category {brief(category)}")


def read_object(fields: Mapping[str, Any], label: str, size: Size | None, *, masks: bool) -> Object:
    """The object; with `masks`, it must have one.

    Raises:
        BadRow: its box, area or mask is not as COCO has them.
    """
    area = fields["area"]
    return Object(
        label,
        _box(fields["bbox"], size),
        crowd=fields["iscrowd"] == 1,
        area=None if area is None else _number(area, "area"),
        **(_mask(fields["segmentation"]) if masks else {}),
    )


def _box(value: Any, size: Size | None) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise BadRow(f"bbox is {brief(value)}, not [x, y, width, height]")
    x, y, width, height = (_number(each, "bbox") for each in value)
    if width <= 0 or height <= 0:
        raise BadRow(f"the box {value} (x, y, width, height) has no area")
    return checked_box(Box(x, y, x + width, y + height), size)


def _number(value: Any, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise BadRow(f"{name} has {brief(value)}, which is no finite number")


def _mask(value: Any) -> dict[str, Any]:
    if isinstance(value, list) and value:
        return {"polygons": tuple(_polygon(each) for each in value)}
    if isinstance(value, dict) and value.keys() >= {"size", "counts"}:
        return {"rle": {"size": value["size"], "counts": value["counts"]}}
    raise BadRow("it has no mask: segmentation is neither polygons nor run lengths")


def _polygon(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2:
        raise BadRow("a polygon is not a list of x and y of at least three corners")
    return tuple(_number(each, "segmentation") for each in value)
