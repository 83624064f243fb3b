"""COCO's annotations, grouped by image while the file is read once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from reprlib import repr as brief
from typing import Any, NamedTuple

from pellucid_server.evaluate.annotations import Flaw
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.common.json_stream import Part, parts
from pellucid_server.evaluate.formats.common.rows import BadRow, located
from pellucid_server.types import Size

Key = int | str
PLACES = ("id", "category_id", "bbox", "area", "iscrowd")
MASKS = (*PLACES, "segmentation")


class CocoImage(NamedTuple):
    """An image as the file lists it."""

    name: str
    size: Size | None
    line: int


class Raw(NamedTuple):
    """An annotation as it stands in the file, with the fields that were asked for."""

    line: int
    fields: dict[str, Any]

    def __str__(self) -> str:
        return f"annotation {brief(self.fields['id'])}"


@dataclass
class CocoFile:
    """What a file says of its images, each with its annotations.

    It is held in memory: some 400 bytes for an image and 200 for an annotation, and with masks
    as much more as their text has.
    """

    path: str
    images: dict[Key, CocoImage] = field(default_factory=dict)
    categories: dict[Key, str] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    _annotations: dict[Key, list[str]] = field(default_factory=dict)

    def annotations(self, image: Key) -> Iterator[Raw]:
        """The annotations of an image, in the order of the file."""
        for text in self._annotations.get(image, ()):
            line, fields = json.loads(text)
            yield Raw(line, fields)

    def orphans(self) -> Iterator[Flaw]:
        """Annotations of images that the file does not list."""
        for image in self._annotations:
            if image not in self.images:
                for each in self.annotations(image):
                    yield self._flaw(each.line, f"{each}: there is no image {brief(image)}")

    def add(self, part: Part, wanted: tuple[str, ...]) -> None:
        """Takes an element of the file; a wrong one becomes a flaw."""
        try:
            if part.key == "images":
                self._add_image(part)
            elif part.key == "categories":
                fields = _fields(part)
                self.categories[_key(fields, "id")] = _text(fields, "name")
            elif part.key == "annotations":
                self._add_annotation(part, wanted)
        except BadRow as error:
            self.flaws.append(self._flaw(part.line, f"{part.key}: {error}"))

    def _add_image(self, part: Part) -> None:
        fields = _fields(part)
        key = _key(fields, "id")
        if key in self.images:
            raise BadRow(f"there are two images {brief(key)}")
        height, width = (_extent(fields.get(each)) for each in ("height", "width"))
        size = Size(height, width) if height and width else None
        self.images[key] = CocoImage(_text(fields, "file_name"), size, part.line)

    def _add_annotation(self, part: Part, wanted: tuple[str, ...]) -> None:
        fields = _fields(part)
        image = _key(fields, "image_id")
        kept = {name: fields.get(name) for name in wanted}
        # As text it takes a tenth of the memory that its objects take.
        try:
            text = json.dumps((part.line, kept), separators=(",", ":"))
        except RecursionError:
            raise BadRow("it is too deep") from None
        self._annotations.setdefault(image, []).append(text)

    def _flaw(self, line: int, reason: str) -> Flaw:
        return Flaw("", located(self.path, line), reason)


def read_coco(files: Files, path: str, *, masks: bool) -> CocoFile:
    """Reads a file; without masks it takes a fraction of the memory.

    Raises:
        InvalidInput: it is not JSON, and so nothing of it can be trusted.
    """
    found = CocoFile(path)
    for part in parts(files, path):
        found.add(part, MASKS if masks else PLACES)
    found.flaws.extend(found.orphans())
    return found


def read_categories(files: Files, path: str) -> tuple[str, ...]:
    """Names of the classes, in the order of the file, which is read no further than they go."""
    found = CocoFile(path)
    for part in parts(files, path):
        if part.key == "categories":
            found.add(part, ())
        elif found.categories:
            break
    return tuple(found.categories.values())


def _fields(part: Part) -> dict[str, Any]:
    if isinstance(part.value, dict):
        return part.value
    raise BadRow("not an object")


def _key(fields: dict[str, Any], name: str) -> Key:
    value = fields.get(name)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise BadRow(f"{name} is {brief(value)}, neither a whole number nor a text")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str) and value:
        return value
    raise BadRow(f"{name} is {brief(value)}, no text")


def _extent(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
