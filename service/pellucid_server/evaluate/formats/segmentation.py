from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from pellucid_server.evaluate.annotations import Flaw, LabelMap, Sample
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.colours import Legend, read_legend, shows_colours
from pellucid_server.evaluate.formats.common.listing import folder_like
from pellucid_server.evaluate.formats.common.pairs import (
    Pair,
    find_folders,
    named_folder,
    pairs,
)
from pellucid_server.evaluate.formats.common.places import UNUSABLE
from pellucid_server.types import Task

IMAGES = ("images", "imgs", "img", "jpegimages")
MASKS = ("masks", "labels", "annotations", "segmentationclass")
BINARY = {(0, 0, 0): 0, (255, 255, 255): 1}


class SegmentationParameters(Parameters):
    """What masks mean, and where they lie."""

    split: str = ""
    """Folder above or below the two; by default the first of val, test and train."""
    image_folder: str = ""
    mask_folder: str = ""
    ignored: Annotated[int, Field(ge=-1, le=65535)] = 255
    """Value of pixels that are not counted; -1: all are."""
    binary: bool = False
    """Masks are black and white: class 0 and class 1."""


@register("segmentation")
class Segmentation(Format[SegmentationParameters]):
    """Common Semantic Segmentation and its like: images and masks of equal names."""

    description = "folders images/ and masks/ (or labels/, annotations/), names in classes.txt"
    tasks = (Task.SEMANTIC_SEGMENTATION,)
    parameters_type = SegmentationParameters

    def detect(self, files: Files) -> bool:
        voc = folder_like(files, "", ("imagesets",))
        return voc is None and find_folders(files, IMAGES, MASKS) is not None

    def classes(
        self, files: Files, task: Task, parameters: SegmentationParameters
    ) -> tuple[str, ...]:
        del task, parameters
        return tuple(name for name in read_legend(files).names if name)

    def rows(
        self, files: Files, task: Task, parameters: SegmentationParameters
    ) -> Iterator[Sample | Flaw]:
        del task
        images = named_folder(files, parameters.image_folder, "image_folder") or IMAGES
        masks = named_folder(files, parameters.mask_folder, "mask_folder") or MASKS
        folders = find_folders(files, images, masks, parameters.split)
        if folders is None:
            raise self.unfit(files, "has no two such folders")
        legend = read_legend(files)
        for each in pairs(files, folders):
            yield each if isinstance(each, Flaw) else _sample(files, each, legend, parameters)


def _sample(
    files: Files, pair: Pair, legend: Legend, parameters: SegmentationParameters
) -> Sample | Flaw:
    if parameters.binary:
        label_map = LabelMap(pair.second, legend.names, BINARY, None)
        return Sample(pair.first, label_map, pair.second)
    ignored = parameters.ignored if parameters.ignored >= 0 else None
    return labelled(files, pair, legend, ignored)


def labelled(files: Files, pair: Pair, legend: Legend, ignored: int | None) -> Sample | Flaw:
    """An image with its mask, whose pixels are colours or values as the mask's own file says."""
    try:
        palette = legend.palette if shows_colours(files, pair.second) else None
    except UNUSABLE as error:
        return Flaw(pair.first, pair.second, error.message)
    label_map = LabelMap(pair.second, legend.names, palette, ignored)
    return Sample(pair.first, label_map, pair.second)
