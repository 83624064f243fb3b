"""Annotations of Pascal VOC."""

from typing import NamedTuple

from pellucid_server.evaluate.annotations import Object
from pellucid_server.evaluate.formats.common.boxes import checked_box
from pellucid_server.evaluate.formats.common.rows import BadRow
from pellucid_server.evaluate.formats.common.xml_tree import Element, parse_xml
from pellucid_server.types import Box, Size

MOST_BYTES = 4 * 2**20
NOWHERE = Box(0, 0, 0, 0)


class Annotated(NamedTuple):
    """The objects of an image, and what is wrong with others."""

    objects: tuple[Object, ...]
    problems: tuple[BadRow, ...]


def read_annotation(data: bytes, *, boxes: bool = True) -> Annotated:
    """Reads the objects; `boxes`: places are wanted, and so must be right.

    Raises:
        BadRow: it is not XML of an annotation.
    """
    root = parse_xml(data)
    if root.name != "annotation":
        raise BadRow(f"the XML is <{root.name}>, no <annotation>", line=root.line)
    size = _size(root)
    objects: list[Object] = []
    problems: list[BadRow] = []
    for each in root.all("object"):
        try:
            objects.append(_object(each, size, boxes=boxes))
        except BadRow as error:
            problems.append(BadRow(str(error), line=error.line or each.line))
    return Annotated(tuple(objects), tuple(problems))


def _object(element: Element, size: Size | None, *, boxes: bool) -> Object:
    label = element.value("name")
    if not label:
        raise BadRow("the object has no name")
    difficult = element.value("difficult") == "1"
    return Object(label, _box(element, size) if boxes else NOWHERE, difficult=difficult)


def _box(element: Element, size: Size | None) -> Box:
    """VOC counts pixels from 1 and the last one in; we count from 0 and the last one out."""
    found = element.get("bndbox")
    if found is None:
        raise BadRow("the object has no bndbox")
    x_min, y_min, x_max, y_max = (_number(found, each) for each in ("xmin", "ymin", "xmax", "ymax"))
    try:
        return checked_box(Box(x_min - 1, y_min - 1, x_max, y_max), size)
    except BadRow as error:
        raise BadRow(str(error), line=found.line) from None


def _number(element: Element, name: str) -> float:
    text = element.value(name)
    try:
        return float(text)
    except ValueError:
        found = element.get(name) or element
        raise BadRow(f"{name} is {text[:80]!r}, no number", line=found.line) from None


def _size(root: Element) -> Size | None:
    """The image's size, where it is told; some tools write 0."""
    size = root.get("size")
    if size is None:
        return None
    height, width = (_whole(size.value(each)) for each in ("height", "width"))
    return Size(height, width) if height and width else None


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
