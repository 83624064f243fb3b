from collections.abc import Iterator

from pellucid_server.evaluate.annotations import Flaw, Holes, Sample
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.pairs import find_folders, named_folder, pairs
from pellucid_server.types import Task

PICTURES = ("gt", "images", "imgs", "target", "reference")
HOLES = ("masks", "mask", "holes")


class InpaintingParameters(Parameters):
    """Folders by other names than the usual ones."""

    split: str = ""
    """Folder above or below the two; by default the first of val, test and train."""
    image_folder: str = ""
    mask_folder: str = ""


@register("inpainting")
class Inpainting(Format[InpaintingParameters]):
    """Whole pictures, and masks of the holes to cut: the picture is also what should come out."""

    description = "folders images/ (or gt/) and masks/ (or holes/), white where pixels are missing"
    tasks = (Task.INPAINTING,)
    parameters_type = InpaintingParameters

    def detect(self, files: Files) -> bool:
        return find_folders(files, PICTURES, HOLES) is not None

    def rows(
        self, files: Files, task: Task, parameters: InpaintingParameters
    ) -> Iterator[Sample | Flaw]:
        del task
        pictures = named_folder(files, parameters.image_folder, "image_folder") or PICTURES
        holes = named_folder(files, parameters.mask_folder, "mask_folder") or HOLES
        folders = find_folders(files, pictures, holes, parameters.split)
        if folders is None:
            raise self.unfit(files, "has no two such folders")
        for each in pairs(files, folders):
            if isinstance(each, Flaw):
                yield each
            else:
                yield Sample(each.first, Holes(each.second, each.first), each.second)
