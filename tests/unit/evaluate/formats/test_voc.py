from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, LabelMap, Labels, Object, Objects, Sample
from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.types import Box, Task

ROOT = "VOCdevkit/VOC2007"
RGB_PNG = b"\x89PNG\r\n\x1a\n" + bytes(17) + b"\x02"
INDEXED_PNG = b"\x89PNG\r\n\x1a\n" + bytes(17) + b"\x03"
# As published for the VOC2012 development kit's colour map, by class.
PUBLISHED = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    3: (128, 128, 0),
    4: (0, 0, 128),
    7: (128, 128, 128),
    8: (64, 0, 0),
    15: (192, 128, 128),
    16: (0, 64, 0),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


def box(x_min: Any, y_min: Any, x_max: Any, y_max: Any) -> str:
    return (
        f"<bndbox><xmin>{x_min}</xmin><ymin>{y_min}</ymin>\n"
        f"<xmax>{x_max}</xmax><ymax>{y_max}</ymax></bndbox>"
    )


def thing(name: str, place: str = "", extra: str = "") -> str:
    return f"<object><name>{name}</name>{place or box(1, 1, 4, 4)}{extra}</object>"


def kit(xml: dict[str, Any], root: str = ROOT, lines: str | None = None) -> dict[str, Any]:
    listed = "\n".join(xml) if lines is None else lines
    return {
        f"{root}/ImageSets/Main/val.txt": listed,
        **{f"{root}/Annotations/{name}.xml": text for name, text in xml.items()},
        **{f"{root}/JPEGImages/{name}.jpg": b"" for name in xml},
    }


def test_corners_counted_from_one_become_corners_from_zero_with_exclusive_maxima(
    annotation: Any, read: Any
) -> None:
    """The whole image of 20 x 10 pixels is 1, 1, 20, 10 there, and 0, 0, 20, 10 here."""
    whole = thing("cat", box(1, 1, 20, 10))
    one = thing("dog", box(3, 4, 3, 4), "<difficult>1</difficult>")
    part = thing("cow", box("1.5", 2, "7.5", 9))
    assert read("voc", kit({"1": annotation(whole, one, part)}), Task.DETECTION) == [
        Sample(
            f"{ROOT}/JPEGImages/1.jpg",
            Objects(
                (
                    Object("cat", Box(0, 0, 20, 10)),
                    Object("dog", Box(2, 3, 3, 4), difficult=True),
                    Object("cow", Box(0.5, 1, 7.5, 9)),
                )
            ),
            f"{ROOT}/Annotations/1.xml:1",
        )
    ]


def test_an_image_without_objects_is_one_without_objects(annotation: Any, read: Any) -> None:
    (row,) = read("voc", kit({"1": annotation()}), Task.DETECTION)
    assert row.annotation == Objects(())


def test_parts_of_an_object_are_no_objects(annotation: Any, read: Any) -> None:
    part = f"<part><name>head</name>{box(9, 9, 1, 1)}</part>"
    (row,) = read("voc", kit({"1": annotation(thing("person", extra=part))}), Task.DETECTION)
    assert [each.label for each in row.annotation.objects] == ["person"]


def test_the_classes_of_the_objects_are_labels_of_the_image(annotation: Any, read: Any) -> None:
    difficult = thing("cow", extra="<difficult>1</difficult>")
    xml = {
        "1": annotation(thing("cat"), thing("dog"), thing("cat"), difficult),
        "2": annotation(difficult),
        "3": annotation(thing("cat", box(9, 9, 1, 1))),
        "4": annotation(),
    }
    rows = read("voc", kit(xml), Task.CLASSIFICATION)
    expected = [("cat", "dog"), ("cow",), ("cat",), ()]
    assert [row.annotation for row in rows] == [Labels(names) for names in expected]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (box(5, 5, 4, 9), "no area"),
        (box(5, 5, 9, 4), "no area"),
        (box(-3, 1, 4, 4), "leaves the image of 20 x 10"),
        (box(1, 1, 22, 4), "leaves the image of 20 x 10"),
        (box(1, 1, 4, 12), "leaves the image of 20 x 10"),
        (box("left", 1, 4, 4), "xmin is 'left', no number"),
        (box("nan", 1, 4, 4), "finite"),
        (box(1, 1, "1e999", 4), "finite"),
        (box("", 1, 4, 4), "no number"),
        ("<bndbox><xmin>1</xmin></bndbox>", "ymin is '', no number"),
        ("<polygon/>", "no bndbox"),
    ],
)
def test_a_wrong_box_is_a_flaw_with_file_and_line_and_its_image_is_left_out(
    place: str, reason: str, annotation: Any, read: Any
) -> None:
    """An object that is not annotated would count as found by mistake."""
    files = kit({"1": annotation(thing("cat"), thing("dog", place)), "2": annotation()})
    flaw, sample = read("voc", files, Task.DETECTION)
    assert isinstance(flaw, Flaw)
    assert flaw.path == f"{ROOT}/JPEGImages/1.jpg"
    assert flaw.location.startswith(f"{ROOT}/Annotations/1.xml:")
    assert flaw.location.rpartition(":")[2] in {"5", "6"}
    assert reason in flaw.reason
    assert sample.path == f"{ROOT}/JPEGImages/2.jpg"


def test_every_wrong_object_of_an_image_is_reported(annotation: Any, read: Any) -> None:
    files = kit({"1": annotation(thing("cat", box(5, 5, 4, 4)), thing("", box(1, 1, 2, 2)))})
    assert len(read("voc", files, Task.DETECTION)) == 2


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_a_size_that_is_not_told_leaves_boxes_as_they_are(
    size: str, annotation: Any, read: Any
) -> None:
    files = kit({"1": annotation(thing("cat", box(1, 1, 900, 900)), size=size)})
    (row,) = read("voc", files, Task.DETECTION)
    assert row.annotation.objects[0].box == Box(0, 0, 900, 900)


def test_a_pixel_beyond_the_image_is_rounding(annotation: Any, read: Any) -> None:
    (row,) = read("voc", kit({"1": annotation(thing("cat", box(0, 0, 21, 11)))}), Task.DETECTION)
    assert row.annotation.objects[0].box == Box(-1, -1, 21, 11)


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("", "not XML"),
        ("<annotation><object>", "not XML"),
        ("<html/>", "no <annotation>"),
        (b"\xff\xfe\x00", "not XML"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "not XML"),
        ("<a>" * 100, "too deep"),
        ("<annotation>" + "<a/>" * 250_000 + "</annotation>", "too many elements"),
        ("<annotation>" + " " * (5 * 2**20) + "</annotation>", "bytes"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_a_flaw(
    xml: Any, reason: str, annotation: Any, read: Any
) -> None:
    flaw, sample = read("voc", kit({"1": xml, "2": annotation()}), Task.DETECTION)
    assert reason in flaw.reason
    assert flaw.location.startswith(f"{ROOT}/Annotations/1.xml")
    assert isinstance(sample, Sample)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE a [<!ENTITY e "boom">]>',
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_in_any_encoding(declaration: str, encoding: str, read: Any) -> None:
    text = f"{declaration}<annotation><object><name>&e;</name></object></annotation>"
    (flaw,) = read("voc", kit({"1": text.encode(encoding)}), Task.DETECTION)
    assert "DOCTYPE" in flaw.reason


def test_what_a_list_names_and_is_not_there_is_a_flaw(annotation: Any, read: Any) -> None:
    files = kit({"1": annotation(), "2": annotation()}, lines="1\n2\n3\n../../1\n/1\n")
    del files[f"{ROOT}/Annotations/1.xml"]
    absent, sample, image, out, absolute = read("voc", files, Task.DETECTION)
    assert "no file" in absent.reason
    assert absent.location == f"{ROOT}/Annotations/1.xml"
    assert sample.path == f"{ROOT}/JPEGImages/2.jpg"
    assert (image.location, image.path) == (f"{ROOT}/ImageSets/Main/val.txt:3", "3")
    assert "no image '3'" in image.reason
    assert "leads out" in out.reason
    assert "leads out" in absolute.reason


def test_lists_of_one_class_have_a_second_column(annotation: Any, read: Any) -> None:
    files = kit({"1": annotation(), "2": annotation()}, lines="1 -1\n2  1\n")
    assert len(read("voc", files, Task.DETECTION)) == 2


def test_val_is_read_first_and_another_split_by_its_name(annotation: Any, read: Any) -> None:
    files = kit({"1": annotation(), "2": annotation()}, lines="1")
    files[f"{ROOT}/ImageSets/Main/trainval.txt"] = "1\n2\n"
    assert len(read("voc", files, Task.DETECTION)) == 1
    assert len(read("voc", files, Task.DETECTION, split="trainval")) == 2
    with pytest.raises(InvalidInput, match="Did you mean 'trainval'") as caught:
        read("voc", files, Task.DETECTION, split="trainvl")
    assert caught.value.field == "parameters[split]"
    del files[f"{ROOT}/ImageSets/Main/val.txt"]
    assert len(read("voc", files, Task.DETECTION)) == 2


def test_lists_of_other_names_must_be_named(annotation: Any, read: Any) -> None:
    files = kit({"1": annotation()})
    files[f"{ROOT}/ImageSets/Main/cat_val.txt"] = files.pop(f"{ROOT}/ImageSets/Main/val.txt")
    with pytest.raises(InvalidInput) as caught:
        read("voc", files, Task.DETECTION)
    assert caught.value.field == "parameters[split]"
    assert len(read("voc", files, Task.DETECTION, split="cat_val")) == 1


def test_the_newest_year_is_read_unless_one_is_named(annotation: Any, read: Any) -> None:
    files = kit({"1": annotation()}) | kit({"2": annotation()}, "VOCdevkit/VOC2012")
    assert [row.path for row in read("voc", files, Task.DETECTION)] == [
        "VOCdevkit/VOC2012/JPEGImages/2.jpg"
    ]
    named = read("voc", files, Task.DETECTION, year="2007")
    assert [row.path for row in named] == [f"{ROOT}/JPEGImages/1.jpg"]
    with pytest.raises(InvalidInput) as caught:
        read("voc", files, Task.DETECTION, year="1999")
    assert caught.value.field == "parameters[year]"


@pytest.mark.parametrize("above", ["VOCdevkit/VOC2012/", "VOC2012/", ""])
def test_the_root_may_be_the_kit_the_year_or_above(
    above: str, annotation: Any, read: Any, memory: Any
) -> None:
    """Without lists all annotations are read."""
    files = {f"{above}Annotations/a.xml": annotation(), f"{above}JPEGImages/a.png": b""}
    (row,) = read("voc", files, Task.DETECTION)
    assert row.path == f"{above}JPEGImages/a.png"
    assert find_format(memory(files), Task.DETECTION).name == "voc"


def test_classes_are_the_twenty_of_voc_or_those_that_the_set_lists(
    annotation: Any, classes: Any
) -> None:
    files = kit({"1": annotation()})
    twenty = classes("voc", files, Task.DETECTION)
    assert len(twenty) == 20
    assert (twenty[0], twenty[-1]) == ("aeroplane", "tvmonitor")
    whole = classes("voc", files, Task.SEMANTIC_SEGMENTATION)
    assert whole == ("background", *twenty)
    own = {"Annotations/1.xml": "", "JPEGImages/1.jpg": b""}
    assert classes("voc", own, Task.DETECTION) == ()
    own["labelmap.txt"] = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:1,2,3::\n"
    assert classes("voc", own, Task.DETECTION) == ("dent",)


def masks(png: bytes) -> dict[str, Any]:
    return {
        f"{ROOT}/ImageSets/Segmentation/val.txt": "1\n2\n",
        f"{ROOT}/JPEGImages/1.jpg": b"",
        f"{ROOT}/JPEGImages/2.jpg": b"",
        f"{ROOT}/SegmentationClass/1.png": png,
    }


def test_masks_of_an_index_are_read_as_they_are(read: Any) -> None:
    sample, flaw = read("voc", masks(INDEXED_PNG), Task.SEMANTIC_SEGMENTATION)
    assert isinstance(sample.annotation, LabelMap)
    assert sample.annotation.path == f"{ROOT}/SegmentationClass/1.png"
    assert sample.annotation.names[0] == "background"
    assert len(sample.annotation.names) == 21
    assert sample.annotation.palette is None
    assert sample.annotation.ignored == 255
    assert "no file" in flaw.reason
    assert flaw.location == f"{ROOT}/SegmentationClass/2.png"


def test_masks_of_colours_have_vocs_colours(read: Any) -> None:
    sample, _ = read("voc", masks(RGB_PNG), Task.SEMANTIC_SEGMENTATION)
    palette = sample.annotation.palette
    assert len(palette) == 22
    assert {value: colour for colour, value in palette.items()}.items() >= PUBLISHED.items()


def test_masks_that_cvat_exports_have_the_colours_of_its_list(read: Any, memory: Any) -> None:
    files = {
        "ImageSets/Segmentation/default.txt": "1\n",
        "JPEGImages/1.jpg": b"",
        "SegmentationClass/1.png": RGB_PNG,
        "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:1,2,3::\n",
    }
    assert find_format(memory(files), Task.SEMANTIC_SEGMENTATION).name == "voc"
    (sample,) = read("voc", files, Task.SEMANTIC_SEGMENTATION)
    assert sample.annotation.names == ("background", "dent")
    assert sample.annotation.palette == {(0, 0, 0): 0, (1, 2, 3): 1}


def test_instances_are_not_served() -> None:
    assert Task.INSTANCE_SEGMENTATION not in FORMATS["voc"].tasks
