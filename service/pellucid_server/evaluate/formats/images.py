from collections.abc import Iterator

from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.formats.base import Format, Parameters, register
from pellucid_server.evaluate.formats.common.listing import has_images, images, is_image
from pellucid_server.types import Task


@register("images")
class Images(Format[Parameters]):
    """Not annotated: enough to compare models, and to calibrate them.

    Found by itself only where there is nothing but images at the root, so that a set whose
    annotations are not recognised is not taken for one that has none.
    """

    description = "images in any folders, not annotated"
    tasks = tuple(task for task in Task if task is not Task.RAW)

    def detect(self, files: Files) -> bool:
        return (
            not files.folders()
            and has_images(files, "")
            and all(is_image(p) for p in files.files())
        )

    def rows(self, files: Files, task: Task, parameters: Parameters) -> Iterator[Sample]:
        del task, parameters
        return (Sample(path) for path in images(files))
