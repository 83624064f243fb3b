from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Sample, Values
from pellucid_server.evaluate.formats import FORMATS
from pellucid_server.types import Task

TASK = Task.CLASSIFICATION


def listed(text: Any, **files: Any) -> dict[str, Any]:
    return {"list.csv": text, "a.jpg": b"", "b.jpg": b"", **files}


@pytest.mark.parametrize("path", ["path", "image", "file", "filename", "Path"])
@pytest.mark.parametrize("label", ["label", "class", "target", "LABEL"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_and_delimiter_are_found_by_the_header(
    path: str, label: str, delimiter: str, read: Any
) -> None:
    rows = [("id", path, label), ("1", "a.jpg", "cat"), ("2", "b.jpg", "dog")]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert read("csv", listed(text), TASK) == [
        Sample("a.jpg", Labels(("cat",)), "list.csv:2"),
        Sample("b.jpg", Labels(("dog",)), "list.csv:3"),
    ]


def test_a_byte_order_mark_and_ends_of_lines_of_windows_do_not_matter(read: Any) -> None:
    rows = read("csv", listed(b"\xef\xbb\xbfpath,label\r\na.jpg,cat\r\n"), TASK)
    assert [row.annotation.names for row in rows] == [("cat",)]


def test_quotes_hold_delimiters(read: Any) -> None:
    (row,) = read("csv", listed('path,label\na.jpg,"tench, Tinca ""tinca"""\n'), TASK)
    assert row.annotation.names == ('tench, Tinca "tinca"',)


def test_several_labels_are_divided_by_bars(read: Any) -> None:
    (row,) = read("csv", listed("path,labels\na.jpg,cat| dog|cat\n"), TASK)
    assert row.annotation.names == ("cat", "dog")


def test_labels_are_names_or_indices_of_the_listed_classes(read: Any, classes: Any) -> None:
    files = listed("path,label\na.jpg,dog\nb.jpg,0\na.jpg,7\na.jpg,cow\n")
    files["classes.txt"] = "cat\ndog\n7\n"
    first, second, third, flaw = read("csv", files, TASK)
    assert [row.annotation.names for row in (first, second, third)] == [("dog",), ("cat",), ("7",)]
    assert flaw == Flaw("a.jpg", "list.csv:5", "there is no class 'cow' among the 3 of the set")
    assert classes("csv", files, TASK) == ("cat", "dog", "7")


def test_an_index_beyond_the_listed_classes_is_a_flaw(read: Any) -> None:
    (flaw,) = read("csv", listed("path,label\na.jpg,2\n", **{"classes.txt": "cat\ndog\n"}), TASK)
    assert flaw.reason == "there is no class '2' among the 2 of the set"


def test_numbers_are_read_for_regression(read: Any, classes: Any) -> None:
    files = listed("path,value\na.jpg,1.5\nb.jpg,-2|3e1\n", **{"classes.txt": "cat\n"})
    rows = read("csv", files, Task.REGRESSION)
    assert [row.annotation for row in rows] == [Values((1.5,)), Values((-2.0, 30.0))]
    assert classes("csv", files, Task.REGRESSION) == ()


@pytest.mark.parametrize("value", ["cat", "nan", "inf", "1_000", "1,5", "0x10", "1|"])
def test_what_is_no_number_is_a_flaw_in_regression(value: str, read: Any) -> None:
    files = listed(f'path,value\na.jpg,"{value}"\nb.jpg,1\n')
    flaw, sample = read("csv", files, Task.REGRESSION)
    assert (flaw.path, flaw.location) == ("a.jpg", "list.csv:2")
    assert "number" in flaw.reason
    assert sample.annotation == Values((1.0,))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("gone.jpg,cat", "no image 'gone.jpg'"),
        ("../a.jpg,cat", "leads out"),
        ("/a.jpg,cat", "leads out"),
        ("a/../../a.jpg,cat", "leads out"),
        ("..\\a.jpg,cat", "leads out"),
        ("a.jpg", "1 cells, the header 2"),
        ("a.jpg,cat,dog", "3 cells, the header 2"),
        ("a.jpg,", "a cell is empty"),
        (",cat", "a cell is empty"),
        ('a.jpg,"cat', "not CSV"),
        ('a.jpg,"cat"x', "not CSV"),
        ("a.jpg," + "x" * 70_000, "longer than"),
        ("a.jpg,c\0t", "NUL"),
        (".,cat", "no image"),
    ],
)
def test_a_wrong_row_is_a_flaw_with_file_and_line_and_the_next_is_read(
    line: str, reason: str, read: Any
) -> None:
    """An open quote spoils its own line, not the rest of the file."""
    flaw, sample = read("csv", listed(f"path,label\n{line}\nb.jpg,dog\n"), TASK)
    assert isinstance(flaw, Flaw)
    assert flaw.location == "list.csv:2"
    assert reason in flaw.reason
    assert sample == Sample("b.jpg", Labels(("dog",)), "list.csv:3")


def test_images_may_lie_in_a_folder_of_images(read: Any) -> None:
    files: dict[str, Any] = {"list.csv": "path,label\nc.jpg,cat\nsub\\d.jpg,cat\n"}
    files |= {"images/c.jpg": b"", "images/sub/d.jpg": b""}
    assert [row.path for row in read("csv", files, TASK)] == ["images/c.jpg", "images/sub/d.jpg"]


def test_columns_and_delimiter_can_be_named(read: Any) -> None:
    files = listed("where:what:label\na.jpg:cat:x\n")
    named = {"path_column": "where", "label_column": "What", "delimiter": ":"}
    assert [row.annotation.names for row in read("csv", files, TASK, **named)] == [("cat",)]


@pytest.mark.parametrize(
    ("parameters", "field", "said"),
    [
        ({"path_column": "pth"}, "path_column", "Did you mean 'path'"),
        ({"label_column": "lable"}, "label_column", "Did you mean 'label'"),
        ({"delimiter": "::"}, "delimiter", "one character"),
        ({"delimiter": '"'}, "delimiter", "one character"),
        ({"file": "other.csv"}, "file", "no file 'other.csv'"),
        ({"delimiter": ";"}, "path_column", "has no column called path"),
    ],
)
def test_wrong_parameters_are_refused(parameters: Any, field: str, said: str, read: Any) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read("csv", listed("path,label\na.jpg,cat\n"), TASK, **parameters)
    assert caught.value.field == f"parameters[{field}]"


def test_the_file_that_lists_images_is_told_from_others(read: Any) -> None:
    files = listed("path,label\na.jpg,cat\n", **{"colours.csv": "name,red\nsky,1\n"})
    assert [row.path for row in read("csv", files, TASK)] == ["a.jpg"]


def test_of_several_lists_val_is_read_unless_one_is_named(read: Any) -> None:
    files = {f"{name}.csv": f"path,label\n{name}.jpg,cat\n" for name in ("train", "val", "x")}
    files |= {f"{name}.jpg": "" for name in ("train", "val", "x")}
    assert [row.path for row in read("csv", files, TASK)] == ["val.jpg"]
    assert [row.path for row in read("csv", files, TASK, file="x.csv")] == ["x.jpg"]
    del files["val.csv"], files["train.csv"]
    with pytest.raises(InvalidInput) as caught:
        read("csv", {**files, "y.csv": "path,label\n"}, TASK)
    assert caught.value.field == "parameters[file]"


@pytest.mark.parametrize("text", ["", "\n\n", b"\xff\n", '"open\n'])
def test_a_file_without_header_is_refused(text: Any, read: Any) -> None:
    with pytest.raises(InvalidInput, match="has no header") as caught:
        read("csv", listed(text), TASK)
    assert caught.value.field == "dataset"


def test_columns_of_other_names_are_not_claimed(memory: Any) -> None:
    assert not FORMATS["csv"].detect(memory(listed("rooms,price\n1,2\n")))


def test_regression_takes_values_before_labels(read: Any) -> None:
    files = listed("path,label,value\na.jpg,cat,1.5\n")
    assert [row.annotation for row in read("csv", files, Task.REGRESSION)] == [Values((1.5,))]
    assert [row.annotation for row in read("csv", files, TASK)] == [Labels(("cat",))]


def test_a_file_is_called_after_a_split_only_by_a_whole_word(read: Any) -> None:
    files = {"values.csv": "path,label\na.jpg,cat\n", "train-2.csv": "path,label\nb.jpg,cat\n"}
    assert [row.path for row in read("csv", {**files, "a.jpg": "", "b.jpg": ""}, TASK)] == ["b.jpg"]
