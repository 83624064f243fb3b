import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO

from pellucid_server.errors import InvalidInput, OutsideRoot
from pellucid_server.evaluate.annotations import Flaw, Labels, Object, Objects, Sample
from pellucid_server.evaluate.formats import find_format
from pellucid_server.types import Box, Task

PATH = "annotations/instances_val2017.json"
MASK = [[1.0, 2.0, 4.0, 2.0, 4.0, 6.0]]


def image(number: Any = 7, name: Any = "a.jpg", **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 20, "height": 10, **more}


def thing(**more: Any) -> dict[str, Any]:
    whole = {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 4], "area": 12}
    return {**whole, "iscrowd": 0, "segmentation": MASK, **more}


def coco(images: Any, annotations: Any, categories: Any = None, **more: Any) -> dict[str, Any]:
    named = [{"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}]
    whole = {
        "info": {"year": 2017},
        "images": images,
        "annotations": annotations,
        "categories": named if categories is None else categories,
    }
    return {PATH: json.dumps(whole, **more), "val2017/a.jpg": b"", "val2017/b.jpg": b""}


def test_boxes_become_corners_and_categories_names(read: Any) -> None:
    files = coco([image(), image(9, "b.jpg")], [thing(), thing(id=2, category_id=90, iscrowd=1)])
    assert read("coco", files, Task.DETECTION) == [
        Sample(
            "val2017/a.jpg",
            Objects(
                (
                    Object("dog", Box(1, 2, 4, 6), area=12),
                    Object("toothbrush", Box(1, 2, 4, 6), crowd=True, area=12),
                )
            ),
            f"{PATH}:1",
        ),
        Sample("val2017/b.jpg", Objects(()), f"{PATH}:1"),
    ]


def test_masks_are_read_for_models_that_have_masks(read: Any) -> None:
    runs = {"size": [10, 20], "counts": [0, 200]}
    packed = {"size": [10, 20], "counts": "0hS1"}
    files = coco(
        [image()],
        [thing(), thing(segmentation=runs, iscrowd=1), thing(segmentation=packed)],
    )
    (row,) = read("coco", files, Task.INSTANCE_SEGMENTATION)
    polygon, crowd, other = row.annotation.objects
    assert polygon.polygons == ((1.0, 2.0, 4.0, 2.0, 4.0, 6.0),)
    assert polygon.rle is None
    assert crowd.rle == runs
    assert crowd.crowd
    assert other.rle == packed
    (row,) = read("coco", files, Task.DETECTION)
    assert [(each.polygons, each.rle) for each in row.annotation.objects] == [((), None)] * 3


def test_the_classes_of_the_objects_are_labels_of_the_image(read: Any) -> None:
    broken = thing(category_id=90, bbox=None)
    (row,) = read("coco", coco([image()], [thing(), broken, thing()]), Task.CLASSIFICATION)
    assert row.annotation == Labels(("dog", "toothbrush"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": [1, 2, 0, 4]}, "no area"),
        ({"bbox": [1, 2, 3, -4]}, "no area"),
        ({"bbox": [1, 2, 3]}, "not [x, y, width, height]"),
        ({"bbox": "1 2 3 4"}, "not [x, y, width, height]"),
        ({"bbox": None}, "not [x, y, width, height]"),
        ({"bbox": [1, 2, "3", 4]}, "no finite number"),
        ({"bbox": [1, 2, True, 4]}, "no finite number"),
        ({"bbox": [1, 2, float("nan"), 4]}, "no finite number"),
        ({"bbox": [1, 2, float("inf"), 4]}, "no finite number"),
        ({"bbox": [1, 2, 10**400, 4]}, "no finite number"),
        ({"bbox": [30, 2, 3, 4]}, "leaves the image of 20 x 10"),
        ({"bbox": [-9, 2, 3, 4]}, "leaves the image of 20 x 10"),
        ({"bbox": [1, 2, 3, 40]}, "leaves the image of 20 x 10"),
        ({"area": "large"}, "area has 'large'"),
        ({"category_id": 1}, "no category 1"),
        ({"category_id": None}, "no category None"),
        ({"category_id": [18]}, "no category"),
        ({"segmentation": None}, "no mask"),
        ({"segmentation": []}, "no mask"),
        ({"segmentation": {"size": [1, 2]}}, "no mask"),
        ({"segmentation": [[1, 2, 3, 4]]}, "at least three corners"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "at least three corners"),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "no finite number"),
        ({"segmentation": [7]}, "at least three corners"),
    ],
)
def test_a_wrong_annotation_is_a_flaw_with_its_id_and_its_image_is_left_out(
    change: Any, reason: str, read: Any
) -> None:
    files = coco(
        [image(), image(8, "b.jpg")],
        [thing(id=41), thing(id=42, **change), thing(image_id=8)],
        indent=1,
    )
    flaw, sample = read("coco", files, Task.INSTANCE_SEGMENTATION)
    assert isinstance(flaw, Flaw)
    assert flaw.path == "val2017/a.jpg"
    assert flaw.reason.startswith("annotation 42: ")
    assert reason in flaw.reason
    path, _, line = flaw.location.rpartition(":")
    assert path == PATH
    following = "".join(files[PATH].splitlines()[int(line) - 1 :])
    assert following.replace(" ", "").startswith('{"id":42,')
    assert sample.path == "val2017/b.jpg"


@pytest.mark.parametrize(
    ("images", "annotations", "reason"),
    [
        ([image(), 5], [], "images: not an object"),
        ([image(), image()], [], "two images 7"),
        ([image(), image(None)], [], "id is None"),
        ([image(), image([1])], [], "neither a whole number nor a text"),
        ([image(), image(9, 5)], [], "file_name is 5"),
        ([image(), image(9, "gone.jpg")], [], "no image 'gone.jpg'"),
        ([image(), image(9, "../a.jpg")], [], "leads out"),
        ([image(), image(9, "/a.jpg")], [], "leads out"),
        ([image()], [thing(id=5, image_id=99)], "annotation 5: there is no image 99"),
        ([image()], [thing(image_id=None)], "annotations: image_id is None"),
        ([image()], ["x"], "annotations: not an object"),
    ],
)
def test_what_does_not_fit_together_is_a_flaw_with_file_and_line(
    images: Any, annotations: Any, reason: str, read: Any
) -> None:
    rows = read("coco", coco(images, annotations), Task.DETECTION)
    (flaw,) = (row for row in rows if isinstance(row, Flaw))
    (sample,) = (row for row in rows if isinstance(row, Sample))
    assert reason in flaw.reason
    assert flaw.location == f"{PATH}:1"
    assert sample.path == "val2017/a.jpg"


def test_sizes_that_are_not_told_leave_boxes_as_they_are(read: Any) -> None:
    files = coco([image(width=None, height="tall")], [thing(bbox=[0, 0, 900, 900])])
    (row,) = read("coco", files, Task.DETECTION)
    assert row.annotation.objects[0].box == Box(0, 0, 900, 900)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "5",
            "{",
            '{"images": [',
            '{"images": [{"id": 1}',
            "{]",
            '{"a" 1}',
            '{"a": [1 2]}',
        ),
        *("[" * 100_000, '{"a": ' + "[" * 100_000, '{"images": [nul]}'),
    ],
)
def test_a_file_that_is_not_json_is_refused_with_file_and_line(text: str, read: Any) -> None:
    """Nothing of it can be trusted: what is lost might belong to any image."""
    with pytest.raises(InvalidInput, match=rf"{PATH}:\d+: the JSON is broken") as caught:
        read("coco", {PATH: text}, Task.DETECTION)
    assert caught.value.field == "dataset"


def test_a_file_cut_short_is_refused_however_much_of_it_is_well(read: Any) -> None:
    whole = coco([image()], [thing()] * 50, indent=1)
    whole[PATH] = whole[PATH][:-200]
    with pytest.raises(InvalidInput, match="JSON is broken"):
        read("coco", whole, Task.DETECTION)


def test_a_file_without_categories_is_refused(read: Any) -> None:
    with pytest.raises(InvalidInput, match="has no categories") as caught:
        read("coco", coco([image()], [], []), Task.DETECTION)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("place", ["val2017", "images/val2017", "images", "", "val", "images/val"])
def test_images_are_found_in_the_usual_places(place: str, read: Any) -> None:
    path = f"{place}/a.jpg" if place else "a.jpg"
    files = {PATH: coco([image()], [])[PATH], path: b""}
    assert [row.path for row in read("coco", files, Task.DETECTION)] == [path]


def test_the_folder_and_the_file_can_be_named(read: Any) -> None:
    files = {"labels/mine.json": coco([image()], [])[PATH], "photos/a.jpg": b""}
    rows = read(
        "coco", files, Task.DETECTION, annotations="labels/mine.json", image_folder="photos"
    )
    assert [row.path for row in rows] == ["photos/a.jpg"]
    with pytest.raises(InvalidInput) as caught:
        read("coco", files, Task.DETECTION, annotations="mine.json")
    assert caught.value.field == "parameters[annotations]"
    with pytest.raises(OutsideRoot) as out:
        read("coco", coco([image()], []), Task.DETECTION, image_folder="../photos")
    assert out.value.field == "parameters[image_folder]"


def test_val_is_read_first_and_another_split_by_the_beginning_of_its_name(read: Any) -> None:
    files = coco([image()], [])
    files["annotations/instances_train2017.json"] = coco([image(1, "b.jpg")], [])[PATH]
    files["annotations/captions_val2017.json"] = "{}"
    files["train2017/b.jpg"] = b""
    assert [row.path for row in read("coco", files, Task.DETECTION)] == ["val2017/a.jpg"]
    rows = read("coco", files, Task.DETECTION, split="train")
    assert [row.path for row in rows] == ["train2017/b.jpg"]
    with pytest.raises(InvalidInput) as caught:
        read("coco", files, Task.DETECTION, split="dev")
    assert caught.value.field == "parameters[split]"


def test_several_lists_of_unknown_names_must_be_named(read: Any) -> None:
    text = coco([image()], [])[PATH]
    files = {"annotations/instances_a.json": text, "annotations/instances_b.json": text}
    with pytest.raises(InvalidInput, match="'a', 'b'") as caught:
        read("coco", files, Task.DETECTION)
    assert caught.value.field == "parameters[annotations]"


def test_classes_are_those_of_the_categories(classes: Any) -> None:
    assert classes("coco", coco([image()], []), Task.DETECTION) == ("dog", "toothbrush")


def test_classes_are_read_without_the_rest_where_they_come_first(classes: Any) -> None:
    files = {PATH: '{"categories": [{"id": 1, "name": "cat"}], "images": [{}, broken'}
    assert classes("coco", files, Task.DETECTION) == ("cat",)


def test_only_annotations_of_instances_are_claimed(memory: Any) -> None:
    with pytest.raises(InvalidInput):
        find_format(memory({"annotations/captions_val2017.json": "{}"}), Task.DETECTION)


def test_it_reads_what_faster_coco_eval_reads(tmp_path: Path, read: Any) -> None:
    """Boxes, areas, crowds and classes of 200 random annotations, equal to the last digit."""
    draw = np.random.default_rng(3)
    images = [image(number, f"{number}.jpg", width=640, height=480) for number in range(40)]
    annotations = []
    for number in range(200):
        x, y = draw.uniform(0, 500), draw.uniform(0, 400)
        box = [x, y, draw.uniform(1, 100), draw.uniform(1, 50)]
        annotations.append(
            thing(
                id=number + 1,
                image_id=int(draw.integers(40)),
                category_id=int(draw.choice([18, 90])),
                bbox=box,
                area=box[2] * box[3],
                iscrowd=int(draw.integers(2)),
            )
        )
    files = coco(images, annotations) | {f"val2017/{n}.jpg": b"" for n in range(40)}
    (tmp_path / "a.json").write_text(files[PATH])
    reference = COCO(str(tmp_path / "a.json"))
    rows = read("coco", files, Task.DETECTION)
    assert len(rows) == 40
    for row in rows:
        number = int(row.path.removeprefix("val2017/").removesuffix(".jpg"))
        expected = reference.loadAnns(reference.getAnnIds(imgIds=[number]))
        found = row.annotation.objects
        assert len(found) == len(expected)
        for each, told in zip(found, expected, strict=True):
            x, y, width, height = told["bbox"]
            np.testing.assert_array_equal(
                (each.box.x_min, each.box.y_min, each.box.x_max, each.box.y_max),
                (x, y, x + width, y + height),
            )
            assert each.label == reference.cats[told["category_id"]]["name"]
            assert (each.area, each.crowd) == (told["area"], bool(told["iscrowd"]))
