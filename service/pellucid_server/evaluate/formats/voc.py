import re
from collections.abc import Iterator
from typing import NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Object, Objects, Sample
from pellucid_server.evaluate.files import Files, checked_path, joined
from pellucid_server.evaluate.formats.base import KINDS, Format, Parameters, register
from pellucid_server.evaluate.formats.common.colours import Legend, read_legend
from pellucid_server.evaluate.formats.common.lines import lines
from pellucid_server.evaluate.formats.common.listing import choose_split, folder_like
from pellucid_server.evaluate.formats.common.pairs import Pair
from pellucid_server.evaluate.formats.common.places import UNUSABLE, Places
from pellucid_server.evaluate.formats.common.rows import BadRow, located
from pellucid_server.evaluate.formats.common.voc_xml import MOST_BYTES, read_annotation
from pellucid_server.evaluate.formats.segmentation import labelled
from pellucid_server.types import Task

YEAR = re.compile(r"VOC20\d\d")
XML, SETS, IMAGES, MASKS = "Annotations", "ImageSets", "JPEGImages", "SegmentationClass"
ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp")
SPLITS = ("val", "test", "trainval", "train", "default")
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


def _colour(value: int) -> tuple[int, int, int]:
    """VOC's colour of a class: bits 0, 1 and 2 of every three are of red, green and blue."""
    red, green, blue = (
        sum((value >> (3 * place + channel) & 1) << (7 - place) for place in range(3))
        for channel in range(3)
    )
    return red, green, blue


NAMES = ("background", *CLASSES)
IGNORED = 255
COLOURS = {_colour(value): value for value in range(len(NAMES))} | {(224, 224, 192): IGNORED}
"""Of masks that are stored as colours; the last is the border between objects."""


class VocParameters(Parameters):
    """Which part of the set."""

    split: str = ""
    """Name of a list in ImageSets; by default the first of val, test, trainval and train."""
    year: str = ""
    """Of several, `2012`; by default the newest."""


class Listed(NamedTuple):
    """An image that a list names."""

    name: str
    location: str
    problem: str = ""


@register("voc")
class PascalVoc(Format[VocParameters]):
    """Pascal VOC. Corners are pixels counted from 1 there, the last within the box."""

    description = "VOCdevkit/VOC20xx, or a year's JPEGImages/ with Annotations/ and ImageSets/"
    tasks = (Task.CLASSIFICATION, Task.DETECTION, Task.SEMANTIC_SEGMENTATION)
    parameters_type = VocParameters

    def detect(self, files: Files) -> bool:
        root = _root(files, "")
        folders = set(files.folders(root)) if root is not None else set()
        return IMAGES in folders and bool({XML, SETS} & folders)

    def classes(self, files: Files, task: Task, parameters: VocParameters) -> tuple[str, ...]:
        root = _root(files, parameters.year) or ""
        whole = task is Task.SEMANTIC_SEGMENTATION
        named = _legend(files, root).names
        return named if whole else tuple(each for each in named if each != "background")

    def rows(self, files: Files, task: Task, parameters: VocParameters) -> Iterator[Sample | Flaw]:
        root = _root(files, parameters.year)
        if root is None:
            raise self.unfit(files, f"has no folder {IMAGES}")
        rows = _Rows(files, root)
        for each in _listed(files, root, task, parameters.split):
            yield from rows.of(each, task)


class _Rows:
    def __init__(self, files: Files, root: str) -> None:
        self._files = files
        self._root = root
        self._images = Places(files, (joined(root, IMAGES),), ENDINGS)
        self._legend = _legend(files, root)

    def of(self, each: Listed, task: Task) -> Iterator[Sample | Flaw]:
        if each.problem:
            yield Flaw(each.name, each.location, each.problem)
            return
        try:
            image = self._images.find(each.name)
        except BadRow as error:
            yield Flaw(each.name, each.location, str(error))
            return
        if task is Task.SEMANTIC_SEGMENTATION:
            mask = joined(self._root, f"{MASKS}/{each.name}.png")
            yield labelled(self._files, Pair(image, mask), self._legend, IGNORED)
        else:
            yield from self._objects(image, joined(self._root, f"{XML}/{each.name}.xml"), task)

    def _objects(self, image: str, path: str, task: Task) -> Iterator[Sample | Flaw]:
        boxes = KINDS[task] is Objects
        try:
            found = read_annotation(self._files.read(path, MOST_BYTES), boxes=boxes)
        except UNUSABLE as error:
            yield Flaw(image, path, error.message)
            return
        except BadRow as error:
            yield Flaw(image, located(path, error.line), str(error))
            return
        if found.problems:
            yield from (Flaw(image, located(path, each.line), str(each)) for each in found.problems)
        else:
            kind = Objects(found.objects) if boxes else _labels(found.objects)
            yield Sample(image, kind, located(path, 1))


def _labels(objects: tuple[Object, ...]) -> Labels:
    """The classes of the objects; difficult ones count only where there are no others."""
    plain = [each for each in objects if not each.difficult] or objects
    return Labels(tuple(dict.fromkeys(each.label for each in plain)))


def _root(files: Files, year: str) -> str | None:
    """The year's folder, or None."""
    for above in ("", "VOCdevkit"):
        years = [each for each in files.folders(above) if YEAR.fullmatch(each)]
        if years and not year:
            return joined(above, max(years))
        if f"VOC{year}" in years:
            return joined(above, f"VOC{year}")
    if year:
        raise InvalidInput(f"the data set has no folder VOC{year}", field="parameters[year]")
    return "" if folder_like(files, "", (IMAGES,)) else None


def _legend(files: Files, root: str) -> Legend:
    """Names of the set's own, or VOC's."""
    own = read_legend(files, root)
    if own.names:
        return own
    return Legend(NAMES, COLOURS) if YEAR.search(root or files.name) else Legend((), COLOURS)


def _listed(files: Files, root: str, task: Task, split: str) -> Iterator[Listed]:
    whole = task is Task.SEMANTIC_SEGMENTATION
    folder = joined(root, f"{SETS}/{'Segmentation' if whole else 'Main'}")
    lists = {path.rpartition("/")[2].removesuffix(".txt"): path for path in files.files(folder)}
    name = split or next((each for each in SPLITS if each in lists), "")
    if not name and not lists:
        yield from _annotated(files, joined(root, MASKS if whole else XML))
        return
    chosen = choose_split(sorted(lists), name)
    if chosen is None:
        raise InvalidInput(
            f"{folder} has no list of the usual names: say which in split",
            field="parameters[split]",
        )
    for line in lines(files, lists[chosen]):
        location = located(lists[chosen], line.number)
        yield _entry(line.text, location, line.problem)


def _entry(text: str, location: str, problem: str) -> Listed:
    """Lists of one class have a second column, which tells what the annotation tells too."""
    name = "" if problem else text.split(maxsplit=1)[0]
    try:
        return Listed(checked_path(name), location, problem)
    except UNUSABLE as error:
        return Listed(name, location, error.message)


def _annotated(files: Files, folder: str) -> Iterator[Listed]:
    for path in files.files(folder):
        yield Listed(path[len(folder) + 1 :].rpartition(".")[0], path)
