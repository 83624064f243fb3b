"""Data sets in memory, small ones of every format, and endless ones."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pytest

from pellucid_server.evaluate.annotations import Flaw, Sample
from pellucid_server.evaluate.files import Files, absent, checked_path
from pellucid_server.evaluate.formats import FORMATS
from pellucid_server.types import Task

Content = bytes | str | Callable[[], BinaryIO]
Rows = list[Sample | Flaw]


class Memory(Files):
    """Files by path; those that `more` names have no content."""

    def __init__(
        self, contents: Mapping[str, Content], more: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.name = "the set"
        self._contents = dict(sorted(contents.items()))
        self._more = more

    def folders(self, under: str = "") -> Sequence[str]:
        start = f"{checked_path(under)}/" if under else ""
        below = (path[len(start) :] for path in self._contents if path.startswith(start))
        return sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def files(self, under: str = "") -> Iterator[str]:
        folder = checked_path(under)
        return (path for path in self._contents if path.rpartition("/")[0] == folder)

    def has(self, path: str) -> bool:
        return checked_path(path) in self._contents or self._more(path)

    def open(self, path: str) -> BinaryIO:
        if checked_path(path) not in self._contents:
            raise absent(path, self.name)
        content = self._contents[checked_path(path)]
        if callable(content):
            return content()
        return io.BytesIO(content.encode() if isinstance(content, str) else content)

    def size(self, path: str) -> int:
        with self.open(path) as file:
            return file.seek(0, io.SEEK_END)


class Produced(io.RawIOBase):
    """A file whose lines are made while it is read; `read_bytes` tells how far."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        super().__init__()
        self._lines = lines
        self._rest = b""
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self._rest) < len(buffer) and (line := next(self._lines, b"")):
            self._rest += line
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        self.read_bytes += len(part)
        return len(part)


VOC_XML = """<annotation>
<size><width>20</width><height>10</height></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>10</ymax></bndbox></object>
</annotation>"""
COCO_JSON = json.dumps(
    {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 20, "height": 10}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 18,
                "bbox": [1, 2, 3, 4],
                "area": 12,
                "iscrowd": 0,
                "segmentation": [[1, 2, 4, 2, 4, 6]],
            }
        ],
        "categories": [{"id": 18, "name": "dog"}],
    }
)
SETS: dict[str, tuple[Task, dict[str, Content]]] = {
    "imagenet": (Task.CLASSIFICATION, {"cat/1.jpg": b"", "dog/2.jpg": b""}),
    "imagenet_list": (
        Task.CLASSIFICATION,
        {"val.txt": "a.JPEG 1\n", "synsets.txt": "n01440764\nn01443537\n", "a.JPEG": b""},
    ),
    "voc": (
        Task.DETECTION,
        {
            "VOCdevkit/VOC2007/Annotations/1.xml": VOC_XML,
            "VOCdevkit/VOC2007/JPEGImages/1.jpg": b"",
            "VOCdevkit/VOC2007/ImageSets/Main/val.txt": "1\n",
        },
    ),
    "coco": (
        Task.INSTANCE_SEGMENTATION,
        {"annotations/instances_val2017.json": COCO_JSON, "val2017/a.jpg": b""},
    ),
    "segmentation": (
        Task.SEMANTIC_SEGMENTATION,
        {"images/a.jpg": b"", "masks/a.png": b"", "classes.txt": "sky\nroad\n"},
    ),
    "image_pairs": (Task.SUPER_RESOLUTION, {"lr/a.png": b"", "hr/a.png": b""}),
    "inpainting": (Task.INPAINTING, {"images/a.jpg": b"", "masks/a.png": b""}),
    "csv": (Task.CLASSIFICATION, {"list.csv": "path,label\na.jpg,cat\n", "a.jpg": b""}),
    "table": (Task.REGRESSION, {"houses.csv": "rooms,size,price\n3,70.5,200\n"}),
    "lfw": (
        Task.CLASSIFICATION,
        {"Ann_Lee/Ann_Lee_0001.jpg": b"", "Bo_Li/Bo_Li_0001.jpg": b"", "pairs.txt": "10\t300\n"},
    ),
    "images": (Task.CLASSIFICATION, {"a.jpg": b"", "b.png": b""}),
}
"""A small set of each format."""


@pytest.fixture(scope="session")
def sets() -> dict[str, tuple[Task, dict[str, Content]]]:
    return SETS


@pytest.fixture(scope="session")
def memory() -> type[Memory]:
    return Memory


@pytest.fixture(scope="session")
def produced() -> type[Produced]:
    return Produced


@pytest.fixture
def read() -> Callable[..., Rows]:
    """All rows of a set in memory, or of any files, with parameters by name."""

    def rows(
        name: str, contents: Mapping[str, Content] | Files, task: Task, **parameters: str
    ) -> Rows:
        files = Memory(contents) if isinstance(contents, Mapping) else contents
        form = FORMATS[name]
        return list(form.read(files, task, form.parse(parameters)))

    return rows


@pytest.fixture
def classes() -> Callable[..., tuple[str, ...]]:
    """The classes that a set tells."""

    def named(
        name: str, contents: Mapping[str, Content], task: Task, **parameters: str
    ) -> tuple[str, ...]:
        form = FORMATS[name]
        return form.classes(Memory(contents), task, form.parse(parameters))

    return named


@pytest.fixture
def annotation() -> Callable[..., str]:
    """An annotation of VOC of an image of 20 x 10 pixels; `size` may be another."""

    def text(*objects: str, size: str = "<size><width>20</width><height>10</height></size>") -> str:
        return "\n".join(["<annotation>", size, *objects, "</annotation>"])

    return text
