import re
from collections.abc import Iterator, Sequence
from itertools import islice

from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.files import Files, joined
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.listing import (
    SPLITS,
    choose_split,
    has_images,
    images,
    is_image,
)
from pellucid_server.evaluate.formats.common.synsets import synset_names
from pellucid_server.types import Task

LOOKED_AT = 5
RESERVED = {"images", "imgs", "jpegimages", "masks", "labels", "annotations", "imagesets"}
"""Folders of other formats; no class is called so without being told."""


class ImageNetParameters(Parameters):
    """A set with `train` and `val` above its classes."""

    split: str = ""
    """Folder above those of the classes; by default the first of val, test and train."""


@register("imagenet")
class ImageNet(Format[ImageNetParameters]):
    """A folder per class; numbers of WordNet get their words from a list beside, if there is."""

    description = "a folder of images for each class, perhaps below train/, val/ or test/"
    tasks = (Task.CLASSIFICATION,)
    parameters_type = ImageNetParameters

    def detect(self, files: Files) -> bool:
        split = _split(files, "")
        folders = files.folders(split)
        if not split and (len(folders) < 2 or RESERVED & {each.casefold() for each in folders}):
            return False
        first = folders[:LOOKED_AT]
        return (
            bool(first)
            and all(has_images(files, joined(split, each)) for each in first)
            and not is_of_people(files, split, first)
        )

    def classes(self, files: Files, task: Task, parameters: ImageNetParameters) -> tuple[str, ...]:
        del task
        split = _split(files, parameters.split)
        words = synset_names(files)
        return tuple(words.get(each, each) for each in files.folders(split))

    def rows(self, files: Files, task: Task, parameters: ImageNetParameters) -> Iterator[Sample]:
        del task
        split = _split(files, parameters.split)
        words = synset_names(files)
        for name in files.folders(split):
            folder = joined(split, name)
            labels = Labels((words.get(name, name),))
            for path in images(files, folder):
                yield Sample(path, labels, folder)


def _split(files: Files, wanted: str) -> str:
    """The folder above those of the classes; `train` without folders below is a class itself."""
    folders = files.folders()
    parts = [each for each in SPLITS if each in folders]
    if wanted or any(files.folders(each) for each in parts):
        return choose_split(folders, wanted) or ""
    return ""


def is_of_people(files: Files, under: str, folders: Sequence[str]) -> bool:
    """Whether images are called as in Labelled Faces in the Wild: `Ann_Lee/Ann_Lee_0001.jpg`."""
    return any("_" in each for each in folders) and all(
        re.fullmatch(rf"{re.escape(each)}_\d{{4}}\.jpe?g", path.rpartition("/")[2], re.IGNORECASE)
        for each in folders
        for path in islice(files.files(joined(under, each)), LOOKED_AT)
        if is_image(path)
    )
