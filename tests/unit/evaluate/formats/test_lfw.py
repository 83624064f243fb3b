from typing import Any

import pytest

from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.types import Task

TASK = Task.CLASSIFICATION


@pytest.mark.parametrize("root", ["", "lfw/", "lfw-deepfunneled/"])
def test_folders_are_people(root: str, read: Any, classes: Any, memory: Any) -> None:
    files = {
        f"{root}Abdullah/Abdullah_0001.jpg": b"",
        f"{root}Ann_Lee/Ann_Lee_0001.jpg": b"",
        f"{root}Ann_Lee/Ann_Lee_0002.jpg": b"",
        f"{root}pairs.txt": "10\t300\n",
    }
    assert find_format(memory(files), TASK).name == "lfw"
    assert classes("lfw", files, TASK) == ("Abdullah", "Ann_Lee")
    assert read("lfw", files, TASK)[1] == Sample(
        f"{root}Ann_Lee/Ann_Lee_0001.jpg", Labels(("Ann_Lee",)), f"{root}Ann_Lee"
    )


def test_folders_of_other_names_are_not_claimed(memory: Any) -> None:
    files = {"cat/cat_0001.jpg": b"", "dog/dog_0001.jpg": b""}
    assert not FORMATS["lfw"].detect(memory(files))
