from typing import Any

import pytest

from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.formats import FORMATS
from pellucid_server.types import Task


def test_images_of_all_folders_are_read_without_annotations(read: Any) -> None:
    files = {"a.jpg": b"", "deep/er/b.PNG": b"", "deep/c.tiff": b"", "notes.txt": b""}
    rows = read("images", files, Task.DETECTION)
    assert rows == [Sample("a.jpg"), Sample("deep/c.tiff"), Sample("deep/er/b.PNG")]


def test_every_task_but_raw_is_served() -> None:
    assert set(FORMATS["images"].tasks) == set(Task) - {Task.RAW}


@pytest.mark.parametrize("beside", ["labels.json", "deep/b.jpg", "notes.txt"])
def test_what_might_be_annotated_is_not_claimed(beside: str, memory: Any) -> None:
    assert not FORMATS["images"].detect(memory({"a.jpg": b"", beside: b""}))
