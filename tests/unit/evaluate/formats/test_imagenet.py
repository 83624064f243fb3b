import json
from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.types import Task

TASK = Task.CLASSIFICATION


def test_folders_are_classes(read: Any, classes: Any) -> None:
    files = {"cat/b.PNG": b"", "cat/a.jpg": b"", "dog/deep/c.jpeg": b"", "dog/notes.txt": b""}
    assert read("imagenet", files, TASK) == [
        Sample("cat/a.jpg", Labels(("cat",)), "cat"),
        Sample("cat/b.PNG", Labels(("cat",)), "cat"),
        Sample("dog/deep/c.jpeg", Labels(("dog",)), "dog"),
    ]
    assert classes("imagenet", files, TASK) == ("cat", "dog")


def test_val_is_read_before_test_and_train(read: Any, classes: Any) -> None:
    files = {f"{split}/cat/a.jpg": b"" for split in ("train", "val", "test")}
    assert [row.path for row in read("imagenet", files, TASK)] == ["val/cat/a.jpg"]
    del files["val/cat/a.jpg"]
    assert [row.path for row in read("imagenet", files, TASK)] == ["test/cat/a.jpg"]
    assert classes("imagenet", files, TASK) == ("cat",)


def test_the_split_can_be_named(read: Any) -> None:
    files = {f"{split}/cat/a.jpg": b"" for split in ("train", "val", "holdout")}
    rows = read("imagenet", files, TASK, split="holdout")
    assert [row.path for row in rows] == ["holdout/cat/a.jpg"]
    with pytest.raises(InvalidInput, match="'holdout'") as caught:
        read("imagenet", files, TASK, split="holdoot")
    assert caught.value.field == "parameters[split]"


def test_a_class_may_be_called_train(read: Any) -> None:
    rows = read("imagenet", {"car/a.jpg": b"", "train/a.jpg": b""}, TASK)
    assert [row.annotation.names for row in rows] == [("car",), ("train",)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("synset_words.txt", "n01440764 tench, Tinca tinca\nn02012849 crane\n"),
        ("LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\nn02012849 crane\n"),
        ("classes.txt", "n01440764 tench, Tinca tinca\nn02012849 crane\n"),
        (
            "imagenet_class_index.json",
            json.dumps({"0": ["n01440764", "tench, Tinca tinca"], "1": ["n02012849", "crane"]}),
        ),
    ],
)
def test_numbers_of_wordnet_get_their_words(path: str, text: str, read: Any, classes: Any) -> None:
    files = {
        path: text,
        "val/n01440764/a.jpg": b"",
        "val/n02012849/b.jpg": b"",
        "val/n03126707/c.jpg": b"",
    }
    expected = ("n01440764 tench, Tinca tinca", "n02012849 crane", "n03126707")
    assert classes("imagenet", files, TASK) == expected
    rows = read("imagenet", files, TASK)
    assert [row.annotation.names for row in rows] == [(name,) for name in expected]


@pytest.mark.parametrize(
    "text", ["[1]", '{"0": 1}', "{", "[" * 100_000, '{"0": ["a"]}', b"\xff".decode("latin-1")]
)
def test_a_broken_list_of_words_is_named(text: str, read: Any) -> None:
    with pytest.raises(InvalidInput, match=r"imagenet_class_index\.json") as caught:
        read("imagenet", {"imagenet_class_index.json": text, "n01440764/a.jpg": b""}, TASK)
    assert caught.value.field == "dataset"


def test_images_called_after_their_synset_are_no_faces(memory: Any) -> None:
    files = {"n01440764/n01440764_1775.JPEG": b"", "n01443537/n01443537_0002.JPEG": b""}
    assert find_format(memory(files), TASK).name == "imagenet"


def test_the_validation_list_beside_flat_images_is_not_taken_for_folders(memory: Any) -> None:
    files = {"train/n01440764/a.JPEG": b"", "val/b.JPEG": b"", "val.txt": "b.JPEG 0\n"}
    assert find_format(memory(files), TASK).name == "imagenet_list"


@pytest.mark.parametrize(
    "files",
    [
        {"images/a.jpg": b"", "masks/a.png": b""},
        {"a/notes.txt": b"", "b/c.jpg": b""},
        {"alone/a.jpg": b""},
        {"a.jpg": b""},
    ],
)
def test_it_does_not_claim_what_only_looks_a_little_like_it(files: Any, memory: Any) -> None:
    assert not FORMATS["imagenet"].detect(memory(files))
