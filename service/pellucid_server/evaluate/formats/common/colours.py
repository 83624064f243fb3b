"""What the pixels of label maps mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files, joined
from pellucid_server.evaluate.formats.common.lines import first_list, names

Colour = tuple[int, int, int]
MOST = 2**16
"""Values of a pixel."""
META, LABEL_MAP = "dataset_meta.json", "labelmap.txt"
LISTS = ("classes.txt", "labels.txt")
META_BYTES = 4 * 2**20
PNG, COLOUR_TYPE, RGB = b"\x89PNG\r\n\x1a\n", 25, (2, 6)


@dataclass(frozen=True)
class Legend:
    """Names by value, and values by colour where the set has colours."""

    names: tuple[str, ...] = ()
    palette: Mapping[Colour, int] | None = None


def read_legend(files: Files, under: str = "") -> Legend:
    """The legend of a set; empty where it has none.

    Raises:
        InvalidInput: it has one that cannot be read.
    """
    if files.has(joined(under, META)):
        return _meta(files, joined(under, META))
    if files.has(joined(under, LABEL_MAP)):
        return _label_map(files, joined(under, LABEL_MAP))
    return Legend(first_list(files, tuple(joined(under, each) for each in LISTS)))


def shows_colours(files: Files, path: str) -> bool:
    """Whether a picture is a PNG of colours, in difference to one of values or of an index."""
    with files.open(path) as file:
        head = file.read(COLOUR_TYPE + 1)
    return head.startswith(PNG) and len(head) > COLOUR_TYPE and head[COLOUR_TYPE] in RGB


def _meta(files: Files, path: str) -> Legend:
    """Of Common Semantic Segmentation: `label_map` or `labels`, `segmentation_colors`."""
    try:
        meta = json.loads(files.read(path, META_BYTES))
        given = meta.get("label_map") or dict(enumerate(meta.get("labels", ())))
        named = {int(value): str(name) for value, name in given.items()}
        colours = [_colour(each) for each in meta.get("segmentation_colors") or ()]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _wrong(path, str(error)) from error
    if named and not 0 <= min(named) <= max(named) < MOST:
        raise _wrong(path, f"a value of label_map is not from 0 to {MOST - 1}")
    listed = tuple(named.get(value, "") for value in range(max(named, default=-1) + 1))
    return Legend(listed, _palette(colours))


def _label_map(files: Files, path: str) -> Legend:
    """Of CVAT: `name:red,green,blue:parts:actions` a line."""
    rows = [each.split(":") for each in names(files, path) if not each.startswith("#")]
    try:
        colours = [_colour(each[1].split(",")) for each in rows if len(each) > 1 and each[1]]
    except ValueError as error:
        raise _wrong(path, str(error)) from error
    if colours and len(colours) < len(rows):
        raise _wrong(path, "some classes have a colour and some have none")
    return Legend(tuple(each[0].strip() for each in rows), _palette(colours))


def _colour(given: Any) -> Colour:
    red, green, blue = (int(each) for each in given)
    if not all(0 <= each <= 255 for each in (red, green, blue)):
        raise ValueError(f"{given} is not a colour of three numbers from 0 to 255")
    return red, green, blue


def _palette(colours: list[Colour]) -> Mapping[Colour, int] | None:
    return {colour: value for value, colour in enumerate(colours)} or None


def _wrong(path: str, problem: str) -> InvalidInput:
    return InvalidInput(f"{path} cannot be read: {problem}", field=FIELD)
