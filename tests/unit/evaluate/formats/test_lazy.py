"""Readers read as rows are asked for, and keep none of them."""

import io
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid_server.evaluate.formats import FORMATS
from pellucid_server.types import Task

FEW, MANY = 1_000, 20_000
SPARE = 300_000
"""Bytes by which peaks may differ: less than 20 bytes a row."""


def numbered(header: bytes, line: bytes, count: int) -> Iterator[bytes]:
    return itertools.chain([header] if header else [], (line % number for number in range(count)))


LISTS = {
    "imagenet_list": (Task.CLASSIFICATION, "val.txt", b"", b"%d.JPEG 1\n"),
    "csv": (Task.CLASSIFICATION, "list.csv", b"path,label\n", b"%d.jpg,cat\n"),
    "table": (Task.REGRESSION, "t.csv", b"a,b\n", b"%d,2\n"),
    "voc": (Task.DETECTION, "ImageSets/Main/val.txt", b"", b"%d\n"),
}


def opened(name: str, count: int, memory: Any, produced: Any) -> Any:
    """The rows of a set of a list, and the files of the list that were opened."""
    task, path, header, line = LISTS[name]
    files: list[Any] = []

    def open_list() -> BinaryIO:
        files.append(produced(numbered(header, line, count)))
        return io.BufferedReader(files[-1])

    class Endless(memory):  # type: ignore[misc] # the class comes as a fixture
        def open(self, path: str) -> BinaryIO:
            return io.BytesIO(b"<annotation/>") if path.endswith(".xml") else super().open(path)

    there = {path: open_list, "JPEGImages/x": b""}
    form = FORMATS[name]
    every = Endless(there, more=lambda path: path.endswith((".jpg", ".JPEG", ".xml")))
    return form.read(every, task, form.parse({})), files


@pytest.mark.parametrize("name", LISTS)
def test_the_first_of_a_hundred_thousand_rows_comes_before_the_list_is_read(
    name: str, memory: Any, produced: Any
) -> None:
    """A list of some 1.3 MB: less than 100 kB of it are read by then."""
    rows, files = opened(name, 100_000, memory, produced)
    assert next(rows).annotation is not None
    assert 0 < sum(file.read_bytes for file in files) < 100_000


def peak(run: Callable[[], Any]) -> int:
    """Bytes of Python's memory that running takes at most."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", LISTS)
def test_memory_does_not_grow_with_a_list(name: str, memory: Any, produced: Any) -> None:
    def read(count: int) -> None:
        assert count_of(opened(name, count, memory, produced)[0]) == count

    read(10)
    small = peak(lambda: read(FEW))
    assert peak(lambda: read(MANY)) < small + SPARE


def count_of(rows: Iterator[Any]) -> int:
    return sum(1 for _ in rows)


FOLDERS = {
    "imagenet": (Task.CLASSIFICATION, ("cat", "dog")),
    "lfw": (Task.CLASSIFICATION, ("Ann_Lee", "Bo_Li")),
    "images": (Task.DETECTION, ("one", "two")),
    "image_pairs": (Task.SUPER_RESOLUTION, ("lr", "hr")),
    "inpainting": (Task.INPAINTING, ("images", "masks")),
    "segmentation": (Task.SEMANTIC_SEGMENTATION, ("images", "masks")),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_memory_does_not_grow_with_folders(name: str, memory: Any) -> None:
    task, folders = FOLDERS[name]

    def read(count: int) -> None:
        class Full(memory):  # type: ignore[misc] # the class comes as a fixture
            def folders(self, under: str = "") -> tuple[str, ...]:
                return () if under else folders

            def files(self, under: str = "") -> Iterator[str]:
                numbers = range(count) if under in folders else ()
                return (f"{under}/{number}.png" for number in numbers)

            def open(self, path: str) -> BinaryIO:
                return io.BytesIO() if path.endswith(".png") else super().open(path)

        form = FORMATS[name]
        files = Full({}, more=lambda path: path.endswith(".png"))
        assert count_of(form.read(files, task, form.parse({}))) >= count

    read(10)
    small = peak(lambda: read(FEW))
    assert peak(lambda: read(MANY)) < small + SPARE


def test_memory_does_not_grow_with_parquet(memory: Any) -> None:
    """Of Arrow's own memory too, which holds one row group."""

    def made(count: int) -> bytes:
        buffer = io.BytesIO()
        table = pa.table({"a": np.arange(float(count)), "b": np.arange(float(count))})
        pq.write_table(table, buffer, row_group_size=FEW, use_dictionary=False)
        return buffer.getvalue()

    def read(data: bytes) -> int:
        form = FORMATS["table"]
        most = 0
        for _ in form.read(memory({"t.parquet": data}), Task.REGRESSION, form.parse({})):
            most = max(most, pa.total_allocated_bytes())
        return most

    few, many = made(FEW), made(MANY)
    read(few)
    assert read(many) <= read(few) + SPARE
    small = peak(lambda: read(few))
    assert peak(lambda: read(many)) < small + len(many) + SPARE


def test_coco_takes_memory_by_image_but_not_for_masks_that_nobody_asked_for(memory: Any) -> None:
    """At most 1.5 kB for an image of one annotation, whatever its outline has."""
    thing = (
        b'{"id": %d, "image_id": %d, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12.5, '
        b'"iscrowd": 0, "segmentation": [[' + b"1.25, " * 400 + b"1, 2]]}"
    )

    def made(count: int) -> bytes:
        images = (b'{"id": %d, "file_name": "%d.jpg"}' % (n, n) for n in range(count))
        things = (thing % (n, n) for n in range(count))
        return (
            b'{"images": [%s], "annotations": [%s], "categories": [{"id": 1, "name": "cat"}]}'
            % (b", ".join(images), b", ".join(things))
        )

    def read(data: bytes) -> None:
        files = memory({"instances_val.json": data}, more=lambda path: path.endswith(".jpg"))
        form = FORMATS["coco"]
        count_of(form.read(files, Task.DETECTION, form.parse({})))

    few, many = made(100), made(1_100)
    read(few)
    grown = peak(lambda: read(many)) - peak(lambda: read(few))
    assert grown < 1_000 * 1_500 < len(many) - len(few)
