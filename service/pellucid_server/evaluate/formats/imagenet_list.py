from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Sample
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.lines import Line, first_list, lines
from pellucid_server.evaluate.formats.common.listing import SPLITS, is_image, require_file
from pellucid_server.evaluate.formats.common.places import Places
from pellucid_server.evaluate.formats.common.rows import BadRow, located
from pellucid_server.evaluate.formats.common.synsets import is_synset, synset_names
from pellucid_server.types import Task

TRUTH = "ILSVRC2012_validation_ground_truth.txt"
VALIDATION = "ILSVRC2012_val_{:08}.JPEG"
FOLDERS = ("", "images", "val", "ILSVRC2012_img_val")
ORDERED = ("synsets.txt", "synset_words.txt", "LOC_synset_mapping.txt", "classes.txt", "labels.txt")
"""Lists of classes by their index."""


class ListParameters(Parameters):
    """Which list."""

    split: str = ""
    """`val` means val.txt; by default the first of val, test and train."""


@dataclass(frozen=True)
class Listing:
    """A list of images with the indices of their classes, counted from `base`."""

    path: str
    names: Sequence[str]
    base: int = 0
    """1 for the ground truth, whose lines are numbers alone."""

    def row(self, line: Line) -> tuple[str, str]:
        """Name of the image and of its class.

        Raises:
            BadRow: the line is not one of such a list, or there is no class of its index.
        """
        if line.problem:
            raise BadRow(line.problem)
        *image, index = line.text.rsplit(None, 1)
        if self.base:
            image = [] if image else [VALIDATION.format(line.number)]
        if not image or not (index.isascii() and index.isdigit()) or len(index) > 9:
            raise BadRow(f"{line.text[:80]!r} is not a line of an image and its class's index")
        return image[0].strip(), self._name(int(index))

    def _name(self, index: int) -> str:
        if not self.names:
            return str(index)
        if not self.base <= index < len(self.names) + self.base:
            last = len(self.names) - 1 + self.base
            raise BadRow(f"there is no class {index}: they go from {self.base} to {last}")
        return self.names[index - self.base]


@register("imagenet_list")
class ImageNetList(Format[ListParameters]):
    """ImageNet's validation list: in Caffe's form, or the development kit's."""

    description = (
        "val.txt (image and class index a line) beside the images, images/ or val/, with "
        f"synset_words.txt or synsets.txt; or {TRUTH}"
    )
    tasks = (Task.CLASSIFICATION,)
    parameters_type = ListParameters

    def detect(self, files: Files) -> bool:
        path = _path(files)
        first = next(lines(files, path), None) if path else None
        if first is None:
            return False
        try:
            return is_image(Listing(path, (), int(path == TRUTH)).row(first)[0])
        except BadRow:
            return False

    def classes(self, files: Files, task: Task, parameters: ListParameters) -> tuple[str, ...]:
        del task, parameters
        return _names(files)

    def rows(self, files: Files, task: Task, parameters: ListParameters) -> Iterator[Sample | Flaw]:
        del task
        listing = self._listing(files, parameters.split)
        places = Places(files, FOLDERS)
        for line in lines(files, listing.path):
            location = located(listing.path, line.number)
            image = ""
            try:
                image, label = listing.row(line)
                yield Sample(places.find(image), Labels((label,)), location)
            except BadRow as error:
                yield Flaw(image, location, str(error))

    def _listing(self, files: Files, split: str) -> Listing:
        path = require_file(files, f"{split}.txt", "split") if split else _path(files)
        if not path:
            raise self.unfit(files, "has no such list")
        known = _names(files)
        if path != TRUTH:
            return Listing(path, known)
        if not known or sorted(known) == list(known):
            raise InvalidInput(
                f"{TRUTH} numbers classes in the order of the development kit, which no list "
                "beside it has: add synsets.txt with the kit's WordNet numbers in the order of "
                "its ILSVRC2012_ID (the first is n02119789), or a val.txt",
                field=FIELD,
            )
        return Listing(path, known, base=1)


def _path(files: Files) -> str:
    """The list of the set, or empty."""
    known = ["val.txt", "valid.txt", "validation.txt", TRUTH, *(f"{each}.txt" for each in SPLITS)]
    return next((path for path in known if files.has(path)), "")


def _names(files: Files) -> tuple[str, ...]:
    """Names by index; numbers of WordNet with their words, where a list tells them."""
    listed = first_list(files, ORDERED)
    if not listed or not is_synset(listed[0].split(None, 1)[0]):
        return listed
    words = synset_names(files)
    return tuple(words.get(each.split(None, 1)[0], each) for each in listed)
