from collections.abc import Iterator

from pellucid_server.evaluate.annotations import Flaw, Picture, Sample
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.pairs import find_folders, named_folder, pairs
from pellucid_server.types import Task

INPUTS = ("lr", "low", "low_resolution", "input", "inputs", "source")
TARGETS = ("hr", "high", "high_resolution", "target", "targets", "gt", "reference")


class PairParameters(Parameters):
    """Folders by other names than the usual ones."""

    split: str = ""
    """Folder above or below the two; by default the first of val, test and train."""
    input_folder: str = ""
    target_folder: str = ""


@register("image_pairs")
class ImagePairs(Format[PairParameters]):
    """Pictures that go in, and those that should come out, of equal names."""

    description = "folders lr/ and hr/ (or input/ and target/) with images of equal names"
    tasks = (Task.SUPER_RESOLUTION, Task.STYLE_TRANSFER)
    parameters_type = PairParameters

    def detect(self, files: Files) -> bool:
        return find_folders(files, INPUTS, TARGETS) is not None

    def rows(self, files: Files, task: Task, parameters: PairParameters) -> Iterator[Sample | Flaw]:
        del task
        inputs = named_folder(files, parameters.input_folder, "input_folder") or INPUTS
        targets = named_folder(files, parameters.target_folder, "target_folder") or TARGETS
        folders = find_folders(files, inputs, targets, parameters.split)
        if folders is None:
            raise self.unfit(files, "has no two such folders")
        for each in pairs(files, folders):
            if isinstance(each, Flaw):
                yield each
            else:
                yield Sample(each.first, Picture(each.second), each.second)
