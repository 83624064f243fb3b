from collections.abc import Iterator
from typing import Any

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Object, Objects, Sample
from pellucid_server.evaluate.files import FIELD, Files, joined
from pellucid_server.evaluate.formats.base import KINDS, Format, Parameters, register
from pellucid_server.evaluate.formats.common.coco_file import (
    CocoFile,
    CocoImage,
    Key,
    Raw,
    read_categories,
    read_coco,
)
from pellucid_server.evaluate.formats.common.coco_object import read_label, read_object
from pellucid_server.evaluate.formats.common.listing import choose_file, inner_path, require_file
from pellucid_server.evaluate.formats.common.places import Places
from pellucid_server.evaluate.formats.common.rows import BadRow, located
from pellucid_server.nearest import nearest
from pellucid_server.types import Task

FOLDER, BEGINNING = "annotations", "instances"


class CocoParameters(Parameters):
    """Which annotations, and where the images lie."""

    split: str = ""
    """`val2017` means annotations/instances_val2017.json; by default val, test, then train."""
    annotations: str = ""
    """Path of the annotations, where they are called otherwise."""
    image_folder: str = ""
    """Path of the images' folder; by default the usual ones are tried."""


@register("coco")
class Coco(Format[CocoParameters]):
    """COCO's instances: objects with boxes and masks, or the classes of an image's objects."""

    description = "annotations/instances_NAME.json with the images in NAME/ or images/"
    tasks = (Task.CLASSIFICATION, Task.DETECTION, Task.INSTANCE_SEGMENTATION)
    parameters_type = CocoParameters

    def detect(self, files: Files) -> bool:
        return bool(_lists(files))

    def classes(self, files: Files, task: Task, parameters: CocoParameters) -> tuple[str, ...]:
        del task
        return read_categories(files, self._path(files, parameters))

    def rows(self, files: Files, task: Task, parameters: CocoParameters) -> Iterator[Sample | Flaw]:
        path = self._path(files, parameters)
        found = read_coco(files, path, masks=task is Task.INSTANCE_SEGMENTATION)
        if not found.categories:
            raise InvalidInput(f"{path} has no categories", field=FIELD)
        yield from found.flaws
        places = Places(files, _folders(path, parameters.image_folder))
        for key, image in found.images.items():
            yield from _rows(found, key, image, places, task)

    def _path(self, files: Files, parameters: CocoParameters) -> str:
        if parameters.annotations:
            return require_file(files, parameters.annotations, "annotations")
        lists = _lists(files)
        if parameters.split:
            return _of_split(lists, parameters.split)
        splits = {_split(path): path for path in lists}
        chosen = choose_file(sorted(splits), "annotations")
        if chosen is None:
            raise self.unfit(files, "has no such annotations")
        return splits[chosen]


def _rows(
    found: CocoFile, key: Key, image: CocoImage, places: Places, task: Task
) -> Iterator[Sample | Flaw]:
    """An image with its annotations; one wrong annotation spoils all that is found there."""
    location = located(found.path, image.line)
    try:
        path = places.find(image.name)
    except BadRow as error:
        yield Flaw(image.name, location, str(error))
        return
    read: list[Any] = []
    flaws: list[Flaw] = []
    for raw in found.annotations(key):
        try:
            read.append(_read(raw, found.categories, image, task))
        except BadRow as error:
            flaws.append(Flaw(path, located(found.path, raw.line), f"{raw}: {error}"))
    if flaws:
        yield from flaws
    elif KINDS[task] is Objects:
        yield Sample(path, Objects(tuple(read)), location)
    else:
        yield Sample(path, Labels(tuple(dict.fromkeys(read))), location)


def _read(raw: Raw, categories: dict[Key, str], image: CocoImage, task: Task) -> str | Object:
    label = read_label(raw.fields, categories)
    if KINDS[task] is not Objects:
        return label
    masks = task is Task.INSTANCE_SEGMENTATION
    return read_object(raw.fields, label, image.size, masks=masks)


def _lists(files: Files) -> list[str]:
    """The annotations of instances."""
    paths = [*files.files(FOLDER), *files.files()]
    return [
        path
        for path in paths
        if path.rpartition("/")[2].startswith(BEGINNING) and path.endswith(".json")
    ]


def _split(path: str) -> str:
    """`val2017` of `annotations/instances_val2017.json`."""
    return path.rpartition("/")[2].removesuffix(".json").removeprefix(BEGINNING).lstrip("_-")


def _of_split(lists: list[str], split: str) -> str:
    """The list of this name, or the only one that begins so: `val` means `val2017`."""
    splits = {_split(path): path for path in lists}
    near = [name for name in splits if name == split] or [
        name for name in splits if name.startswith(split)
    ]
    if len(near) == 1:
        return splits[near[0]]
    raise InvalidInput(
        f"there is no split {split!r}.{nearest(split, splits)}", field="parameters[split]"
    )


def _folders(path: str, wanted: str) -> tuple[str, ...]:
    """Where images may lie: for `val2017` also in `val`."""
    if wanted:
        return (inner_path(wanted, "image_folder"),)
    split = _split(path)
    short = split.rstrip("0123456789")
    beside = path.rpartition("/")[0]
    names = [each for each in dict.fromkeys((split, short)) if each]
    return (*names, *(joined("images", each) for each in names), "images", "", beside)
