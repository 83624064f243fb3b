from collections.abc import Iterator

from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.files import Files, joined
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.listing import has_images, images
from pellucid_server.evaluate.formats.imagenet import LOOKED_AT, is_of_people
from pellucid_server.types import Task


@register("lfw")
class LabelledFaces(Format[Parameters]):
    """A folder per person, labelled with the folder's name.

    Pairs, which ask whether two faces are of one person, are left aside: no task compares.
    """

    description = "a folder for each person with images person_0001.jpg, as LFW has them"
    tasks = (Task.CLASSIFICATION,)

    def detect(self, files: Files) -> bool:
        root = _root(files)
        first = files.folders(root)[:LOOKED_AT]
        there = all(has_images(files, joined(root, each)) for each in first)
        return there and is_of_people(files, root, first)

    def classes(self, files: Files, task: Task, parameters: Parameters) -> tuple[str, ...]:
        del task, parameters
        return tuple(files.folders(_root(files)))

    def rows(self, files: Files, task: Task, parameters: Parameters) -> Iterator[Sample]:
        del task, parameters
        root = _root(files)
        for person in files.folders(root):
            folder = joined(root, person)
            for path in images(files, folder):
                yield Sample(path, Labels((person,)), folder)


def _root(files: Files) -> str:
    """The archives have all people in one folder: `lfw`, `lfw_funneled`, `lfw-deepfunneled`."""
    folders = files.folders()
    alone = len(folders) == 1 and folders[0].startswith("lfw")
    return folders[0] if alone else ""
