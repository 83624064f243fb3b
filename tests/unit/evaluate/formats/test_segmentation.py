import json
from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, LabelMap, Sample
from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.types import Task

TASK = Task.SEMANTIC_SEGMENTATION
HEAD = b"\x89PNG\r\n\x1a\n" + bytes(17)
GREY, RGB, INDEXED, RGBA = (HEAD + bytes([kind]) for kind in (0, 2, 3, 6))
META = {
    "label_map": {"0": "sky", "1": "road", "3": "car"},
    "background_label": "0",
    "segmentation_colors": [[0, 0, 0], [128, 64, 128], [9, 9, 9], [0, 0, 142]],
}
PALETTE = {(0, 0, 0): 0, (128, 64, 128): 1, (9, 9, 9): 2, (0, 0, 142): 3}


def pair(mask: bytes = GREY, more: Any = None) -> dict[str, Any]:
    return {"images/a.jpg": b"", "masks/a.png": mask, **(more or {})}


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("imgs", "labels")])
def test_images_and_masks_of_equal_names_belong_together(
    images: str, masks: str, read: Any, classes: Any
) -> None:
    files: dict[str, Any] = {f"{images}/a.jpg": b"", f"{images}/b.png": b"", f"{masks}/b.png": GREY}
    files |= {f"{masks}/a.bmp": b"BM", "classes.txt": "sky\nroad\n"}
    assert read("segmentation", files, TASK) == [
        Sample(f"{images}/a.jpg", LabelMap(f"{masks}/a.bmp", ("sky", "road")), f"{masks}/a.bmp"),
        Sample(f"{images}/b.png", LabelMap(f"{masks}/b.png", ("sky", "road")), f"{masks}/b.png"),
    ]
    assert classes("segmentation", files, TASK) == ("sky", "road")


@pytest.mark.parametrize("name", ["JPEGImages", "Images", "IMAGES"])
def test_the_case_of_folders_does_not_matter(name: str, read: Any) -> None:
    (row,) = read("segmentation", {f"{name}/a.jpg": b"", "SegmentationClass/a.png": GREY}, TASK)
    assert row.path == f"{name}/a.jpg"


def test_an_image_without_mask_is_a_flaw(read: Any) -> None:
    sample, flaw = read("segmentation", {**pair(), "images/b.jpg": b""}, TASK)
    assert isinstance(sample, Sample)
    assert flaw == Flaw("images/b.jpg", "masks", "it has no partner of its name in masks")


def test_names_and_colours_come_from_common_semantic_segmentation(read: Any, classes: Any) -> None:
    files = pair(RGB, {"dataset_meta.json": json.dumps(META)})
    (row,) = read("segmentation", files, TASK)
    assert row.annotation == LabelMap("masks/a.png", ("sky", "road", "", "car"), PALETTE, 255)
    assert classes("segmentation", files, TASK) == ("sky", "road", "car")


def test_a_list_of_labels_will_do(read: Any) -> None:
    files = pair(GREY, {"dataset_meta.json": json.dumps({"labels": ["sky", "road"]})})
    (row,) = read("segmentation", files, TASK)
    assert row.annotation.names == ("sky", "road")


@pytest.mark.parametrize(("mask", "palette"), [(GREY, None), (INDEXED, None), (RGBA, PALETTE)])
def test_the_mask_itself_tells_whether_it_shows_colours(
    mask: bytes, palette: Any, read: Any
) -> None:
    files = pair(mask, {"dataset_meta.json": json.dumps(META)})
    (row,) = read("segmentation", files, TASK)
    assert row.annotation.palette == palette


def test_names_and_colours_come_from_cvat(read: Any) -> None:
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroof tile:255, 6,51::\n"
    (row,) = read("segmentation", pair(RGB, {"labelmap.txt": text}), TASK)
    assert row.annotation.names == ("background", "roof tile")
    assert row.annotation.palette == {(0, 0, 0): 0, (255, 6, 51): 1}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("dataset_meta.json", "{"),
        ("dataset_meta.json", "[1]"),
        ("dataset_meta.json", '{"label_map": {"x": "sky"}}'),
        ("dataset_meta.json", '{"label_map": {"-1": "sky"}}'),
        ("dataset_meta.json", '{"label_map": {"9999999": "sky"}}'),
        ("dataset_meta.json", '{"segmentation_colors": [[1, 2]]}'),
        ("dataset_meta.json", '{"segmentation_colors": [[1, 2, 300]]}'),
        ("dataset_meta.json", '{"segmentation_colors": 5}'),
        ("dataset_meta.json", "[" * 100_000),
        ("labelmap.txt", "sky:1,2::\n"),
        ("labelmap.txt", "sky:a,b,c::\n"),
        ("labelmap.txt", "sky:1,2,3::\nroad:::\n"),
        ("classes.txt", b"\xff\n"),
    ],
)
def test_a_broken_list_of_names_is_refused_by_its_name(path: str, text: Any, read: Any) -> None:
    with pytest.raises(InvalidInput, match=path) as caught:
        read("segmentation", pair(GREY, {path: text}), TASK)
    assert caught.value.field == "dataset"


def test_which_pixels_do_not_count_can_be_set(read: Any) -> None:
    ignored = [
        read("segmentation", pair(), TASK, ignored=value)[0].annotation.ignored
        for value in ("255", "0", "-1")
    ]
    assert ignored == [255, 0, None]
    with pytest.raises(InvalidInput) as caught:
        read("segmentation", pair(), TASK, ignored="-2")
    assert caught.value.field == "parameters[ignored]"


def test_black_and_white_masks_are_two_classes_and_white_counts(read: Any) -> None:
    (row,) = read("segmentation", pair(), TASK, binary="true")
    assert row.annotation.palette == {(0, 0, 0): 0, (255, 255, 255): 1}
    assert row.annotation.ignored is None


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/val/a.jpg", "masks/val/a.png"),
        ("val/images/a.jpg", "val/masks/a.png"),
        ("images/val/city/a.jpg", "masks/val/city/a.png"),
        ("images/city/a.jpg", "masks/city/a.png"),
    ],
)
def test_splits_may_lie_above_or_below(image: str, mask: str, read: Any, memory: Any) -> None:
    files = {image: b"", mask: GREY}
    assert find_format(memory(files), TASK).name == "segmentation"
    (row,) = read("segmentation", files, TASK)
    assert (row.path, row.annotation.path) == (image, mask)


def test_val_is_read_first_and_another_split_by_its_name(read: Any) -> None:
    files = {
        f"{kind}/{split}/a.png": GREY for kind in ("images", "masks") for split in ("val", "x")
    }
    assert [row.path for row in read("segmentation", files, TASK)] == ["images/val/a.png"]
    assert [row.path for row in read("segmentation", files, TASK, split="x")] == ["images/x/a.png"]
    with pytest.raises(InvalidInput) as caught:
        read("segmentation", files, TASK, split="y")
    assert caught.value.field == "parameters[split]"


def test_folders_can_be_named(read: Any) -> None:
    files = {"rgb/a.png": b"", "truth/a.png": GREY}
    named = {"image_folder": "rgb", "mask_folder": "truth"}
    assert [row.path for row in read("segmentation", files, TASK, **named)] == ["rgb/a.png"]
    with pytest.raises(InvalidInput, match="Did you mean 'truth'") as caught:
        read("segmentation", files, TASK, image_folder="rgb", mask_folder="trith")
    assert caught.value.field == "parameters[mask_folder]"


def test_images_alone_are_not_claimed(memory: Any) -> None:
    assert not FORMATS["segmentation"].detect(memory({"images/a.jpg": b""}))
