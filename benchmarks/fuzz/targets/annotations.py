"""Files that annotate images; the first byte says which, the second in which format it is read."""

import tempfile
from contextlib import suppress
from itertools import islice
from pathlib import Path

from benchmarks.fuzz.targets.image import small
from pellucid_server.errors import PellucidError
from pellucid_server.evaluate.formats import FORMATS
from pellucid_server.evaluate.formats.base import AnyFormat
from pellucid_server.evaluate.formats.find import find_format
from pellucid_server.evaluate.sources.folder import Folder

ROOT = Path(tempfile.mkdtemp(prefix="fuzz-"))
NAMES = (
    "annotations/instances_val.json",
    "labels.csv",
    "val.txt",
    "Annotations/a.xml",
    "ImageSets/Main/a_val.txt",
    "masks/a.png",
    "classes.txt",
    "pairs.csv",
    "table.csv",
    "table.parquet",
)
COCO = (
    b'{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 12}], "annotations": [{'
    b'"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0, '
    b'"segmentation": [[1, 1, 5, 1, 5, 5]]}], "categories": [{"id": 1, "name": "cat"}]}'
)
VOC = (
    b"<annotation><filename>a.jpg</filename><size><width>9</width><height>12</height></size>"
    b"<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax>"
    b"</bndbox></object></annotation>"
)
MOST_ROWS = 1000
LAYOUTS = tuple(FORMATS.values())

for each in ("images/a.jpg", "JPEGImages/a.jpg", "a.jpg"):
    (ROOT / each).parent.mkdir(exist_ok=True)
    (ROOT / each).write_bytes(small("JPEG"))


def take(data: bytes) -> None:
    """Reads a set that has it."""
    name, layout = (*data[:2], 0, 0)[:2]
    path = ROOT / NAMES[name % len(NAMES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[2:])
    try:
        read(Folder(ROOT, (ROOT,), "set"), LAYOUTS[layout % len(LAYOUTS)])
    finally:
        path.unlink()


def read(files: Folder, layout: AnyFormat) -> None:
    """For every task of the format."""
    for task in layout.tasks:
        with suppress(PellucidError):
            find_format(files, task)
        with suppress(PellucidError):
            parameters = layout.parse({})
            layout.classes(files, task, parameters)
            list(islice(layout.read(files, task, parameters), MOST_ROWS))


def seed(name: str, layout: str, content: bytes) -> bytes:
    """A file as it is given to `take`."""
    return bytes([NAMES.index(name), list(FORMATS).index(layout)]) + content


SEEDS = [
    seed("annotations/instances_val.json", "coco", COCO),
    seed("labels.csv", "csv", b"path,label\na.jpg,cat\n"),
    seed("val.txt", "imagenet_list", b"a.jpg 0\n"),
    seed("Annotations/a.xml", "voc", VOC),
    seed("ImageSets/Main/a_val.txt", "voc", b"a 1\n"),
    seed("masks/a.png", "segmentation", small("PNG")),
    seed("classes.txt", "segmentation", b"cat 0 0 0\ndog 255 0 0\n"),
    seed("table.csv", "table", b"a,b,target\n1,2,3\n"),
]
