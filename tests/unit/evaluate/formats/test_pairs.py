"""Formats of two folders: image pairs and inpainting."""

from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Holes, Picture, Sample
from pellucid_server.types import Task


@pytest.mark.parametrize("task", [Task.SUPER_RESOLUTION, Task.STYLE_TRANSFER])
@pytest.mark.parametrize(
    ("first", "second"),
    [("lr", "hr"), ("LR", "HR"), ("low", "high"), ("input", "gt"), ("source", "reference")],
)
def test_pictures_of_equal_names_belong_together(
    first: str, second: str, task: Task, read: Any
) -> None:
    files = {f"{first}/a.png": b"", f"{second}/a.jpg": b""}
    assert read("image_pairs", files, task) == [
        Sample(f"{first}/a.png", Picture(f"{second}/a.jpg"), f"{second}/a.jpg")
    ]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("0801x4", "0801"),
        ("0801", "0801x2"),
        ("img_LR", "img_HR"),
        ("img_001_SRF_4_LR", "img_001_SRF_4_HR"),
        ("baby_x3", "baby"),
        ("baby-lr", "baby"),
        ("deep/0801x2", "deep/0801"),
        ("photo.1x2", "photo.1"),
    ],
)
def test_names_may_differ_by_the_usual_suffixes(low: str, high: str, read: Any) -> None:
    files = {f"lr/{low}.png": b"", f"hr/{high}.png": b""}
    assert [row.annotation.path for row in read("image_pairs", files, Task.SUPER_RESOLUTION)] == [
        f"hr/{high}.png"
    ]


def test_an_equal_name_goes_before_one_without_suffix(read: Any) -> None:
    files = {"lr/a_x2.png": b"", "hr/a.png": b"", "hr/a_x2.png": b""}
    (row,) = read("image_pairs", files, Task.SUPER_RESOLUTION)
    assert row.annotation.path == "hr/a_x2.png"


def test_a_picture_without_partner_is_a_flaw_and_the_next_is_read(read: Any) -> None:
    files = {"lr/a.png": b"", "lr/b.png": b"", "hr/b.png": b"", "hr/ab.png": b""}
    flaw, sample = read("image_pairs", files, Task.SUPER_RESOLUTION)
    assert flaw == Flaw("lr/a.png", "hr", "it has no partner of its name in hr")
    assert sample.path == "lr/b.png"


def test_folders_can_be_named(read: Any) -> None:
    files = {"DIV2K_LR/1x2.png": b"", "DIV2K_HR/1.png": b""}
    rows = read(
        "image_pairs",
        files,
        Task.SUPER_RESOLUTION,
        input_folder="DIV2K_LR",
        target_folder="DIV2K_HR",
    )
    assert [row.path for row in rows] == ["DIV2K_LR/1x2.png"]
    with pytest.raises(InvalidInput) as caught:
        read("image_pairs", files, Task.SUPER_RESOLUTION, input_folder="../lr")
    assert caught.value.field == "parameters[input_folder]"


def test_the_picture_with_holes_is_also_what_should_come_out(read: Any) -> None:
    files = {"images/a.jpg": b"", "masks/a_mask.png": b""}
    assert read("inpainting", files, Task.INPAINTING) == [
        Sample("images/a.jpg", Holes("masks/a_mask.png", "images/a.jpg"), "masks/a_mask.png")
    ]


@pytest.mark.parametrize(("pictures", "holes"), [("gt", "holes"), ("images", "mask")])
def test_folders_of_inpainting_have_several_names(pictures: str, holes: str, read: Any) -> None:
    files = {f"{pictures}/a.jpg": b"", f"{holes}/a.png": b""}
    (row,) = read("inpainting", files, Task.INPAINTING)
    assert row.annotation == Holes(f"{holes}/a.png", f"{pictures}/a.jpg")


def test_a_picture_without_mask_is_a_flaw(read: Any) -> None:
    files = {"images/a.jpg": b"", "images/b.jpg": b"", "masks/b.png": b""}
    flaw, sample = read("inpainting", files, Task.INPAINTING)
    assert isinstance(flaw, Flaw)
    assert sample.path == "images/b.jpg"


def test_the_split_of_inpainting_can_be_named(read: Any) -> None:
    files = {f"{split}/{kind}/a.png": b"" for split in ("val", "x") for kind in ("images", "masks")}
    assert [row.path for row in read("inpainting", files, Task.INPAINTING, split="x")] == [
        "x/images/a.png"
    ]
