from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Sample
from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.types import Task

TASK = Task.CLASSIFICATION
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
WORDS = "n01440764 tench, Tinca tinca\nn01443537 goldfish\n"
KIT = "n02119789\nn02100735\nn01440764\n"


def test_a_line_is_an_image_and_the_index_of_its_class(read: Any, classes: Any) -> None:
    files: dict[str, Any] = {"val.txt": "a.JPEG 1\n\nmy cat.JPEG\t0\r\n", "synset_words.txt": WORDS}
    files |= {"a.JPEG": b"", "my cat.JPEG": b""}
    assert read("imagenet_list", files, TASK) == [
        Sample("a.JPEG", Labels(("n01443537 goldfish",)), "val.txt:1"),
        Sample("my cat.JPEG", Labels(("n01440764 tench, Tinca tinca",)), "val.txt:3"),
    ]
    assert classes("imagenet_list", files, TASK) == tuple(WORDS.splitlines())


def test_synsets_take_their_words_from_the_list_beside(classes: Any) -> None:
    files = {"val.txt": "", "synsets.txt": "n01443537\nn01440764\n", "synset_words.txt": WORDS}
    assert classes("imagenet_list", files, TASK) == (
        "n01443537 goldfish",
        "n01440764 tench, Tinca tinca",
    )


def test_without_names_the_index_is_the_name(read: Any) -> None:
    rows = read("imagenet_list", {"val.txt": "a.JPEG 281\n", "a.JPEG": b""}, TASK)
    assert [row.annotation.names for row in rows] == [("281",)]


@pytest.mark.parametrize("folder", ["", "images/", "val/", "ILSVRC2012_img_val/"])
def test_images_may_lie_beside_or_in_the_usual_folders(folder: str, read: Any) -> None:
    files = {"val.txt": "a.JPEG 0\nb.JPEG 0\n", f"{folder}a.JPEG": b"", f"{folder}b.JPEG": b""}
    rows = read("imagenet_list", files, TASK)
    assert [row.path for row in rows] == [f"{folder}a.JPEG", f"{folder}b.JPEG"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("missing.JPEG 0", "no image 'missing.JPEG'"),
        ("a.JPEG 2", "no class 2"),
        ("a.JPEG -1", "not a line of"),
        ("a.JPEG cat", "not a line of"),
        ("a.JPEG", "not a line of"),
        ("a.JPEG ²", "not a line of"),
        ("a.JPEG 99999999999999999999", "not a line of"),
        ("../a.JPEG 0", "leads out"),
        ("/etc/passwd 0", "leads out"),
        ("..\\a.JPEG 0", "leads out"),
        ("x" * 70_000, "longer than"),
        ("a\0.JPEG 0", "NUL"),
    ],
)
def test_a_wrong_line_is_a_flaw_with_file_and_line_and_the_next_is_read(
    line: str, reason: str, read: Any
) -> None:
    files = {"val.txt": f"a.JPEG 0\n{line}\na.JPEG 1\n", "synset_words.txt": WORDS, "a.JPEG": b""}
    first, flaw, last = read("imagenet_list", files, TASK)
    assert isinstance(first, Sample)
    assert isinstance(last, Sample)
    assert last.location == "val.txt:3"
    assert isinstance(flaw, Flaw)
    assert flaw.location == "val.txt:2"
    assert reason in flaw.reason


def test_a_line_that_is_not_utf_8_is_a_flaw(read: Any) -> None:
    flaw, sample = read(
        "imagenet_list", {"val.txt": b"\xff.JPEG 0\na.JPEG 0\n", "a.JPEG": b""}, TASK
    )
    assert "UTF-8" in flaw.reason
    assert sample.path == "a.JPEG"


def test_the_ground_truth_of_the_kit_counts_classes_from_one_in_the_kits_order(read: Any) -> None:
    name = "ILSVRC2012_img_val/ILSVRC2012_val_{:08}.JPEG"
    files: dict[str, Any] = {TRUTH: "3\n1\n4\n", "synsets.txt": KIT}
    files |= {name.format(number): b"" for number in (1, 2, 3)}
    first, second, flaw = read("imagenet_list", files, TASK)
    assert first == Sample(name.format(1), Labels(("n01440764",)), f"{TRUTH}:1")
    assert second.annotation == Labels(("n02119789",))
    assert "they go from 1 to 3" in flaw.reason


@pytest.mark.parametrize("beside", [{}, {"synset_words.txt": WORDS}])
def test_the_ground_truth_is_refused_without_a_list_in_the_kits_order(
    beside: Any, read: Any
) -> None:
    """Read with Caffe's list, which is in alphabetical order, every class would be wrong."""
    files = {TRUTH: "1\n", "ILSVRC2012_val_00000001.JPEG": b"", **beside}
    with pytest.raises(InvalidInput, match="ILSVRC2012_ID") as caught:
        read("imagenet_list", files, TASK)
    assert caught.value.field == "dataset"


def test_the_list_can_be_named(read: Any) -> None:
    files = {"val.txt": "a.JPEG 0\n", "holdout.txt": "b.JPEG 0\n", "a.JPEG": b"", "b.JPEG": b""}
    assert [row.path for row in read("imagenet_list", files, TASK, split="holdout")] == ["b.JPEG"]
    with pytest.raises(InvalidInput) as caught:
        read("imagenet_list", files, TASK, split="other")
    assert caught.value.field == "parameters[split]"


def test_the_ground_truth_alone_is_recognised(memory: Any) -> None:
    assert find_format(memory({TRUTH: "490\n"}), TASK).name == "imagenet_list"


@pytest.mark.parametrize("text", ["", "hello\n", "readme 1\n", b"\xff\n"])
def test_another_val_txt_is_not_claimed(text: Any, memory: Any) -> None:
    assert not FORMATS["imagenet_list"].detect(memory({"val.txt": text}))


def test_a_list_of_classes_that_cannot_be_read_is_named(read: Any) -> None:
    with pytest.raises(InvalidInput, match=r"synsets\.txt:2") as caught:
        read("imagenet_list", {"val.txt": "a.JPEG 0", "synsets.txt": b"a\n\xff\n"}, TASK)
    assert caught.value.field == "dataset"
