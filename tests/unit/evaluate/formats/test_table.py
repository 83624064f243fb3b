import io
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid_server.errors import InvalidInput, NotServed, OutsideRoot
from pellucid_server.evaluate.annotations import Flaw, Sample, Values
from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.types import Task

TASK = Task.REGRESSION
HOUSES = "rooms,town,size,price\n3,Ulm,70.5,200\n4,Bonn,80,250\n"


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


def test_the_last_column_is_the_target_and_the_others_of_numbers_are_features(read: Any) -> None:
    assert read("table", {"houses.csv": HOUSES}, TASK) == [
        Sample("houses.csv:2", Values((200.0,)), "houses.csv:2", features=(3.0, 70.5)),
        Sample("houses.csv:3", Values((250.0,)), "houses.csv:3", features=(4.0, 80.0)),
    ]


def test_targets_and_features_can_be_named(read: Any) -> None:
    first, _ = read("table", {"houses.csv": HOUSES}, TASK, target="rooms, Price")
    assert (first.features, first.annotation) == ((70.5,), Values((3.0, 200.0)))
    first, _ = read("table", {"houses.csv": HOUSES}, TASK, features="size,rooms")
    assert (first.features, first.annotation) == ((70.5, 3.0), Values((200.0,)))


@pytest.mark.parametrize("parameter", ["target", "features"])
def test_unknown_columns_are_refused_with_the_nearest(parameter: str, read: Any) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'price'") as caught:
        read("table", {"houses.csv": HOUSES}, TASK, **{parameter: "prize"})
    assert caught.value.field == f"parameters[{parameter}]"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("3,Ulm,,200", "column 'size': a number is missing"),
        ("3,Ulm,large,200", "column 'size': 'large' is not a finite number"),
        ("3,Ulm,nan,200", "column 'size': 'nan' is not a finite number"),
        ("3,Ulm,70,-inf", "column 'price': '-inf' is not a finite number"),
        ("3,Ulm,7_0,200", "column 'size'"),
        ("3,Ulm,70", "3 cells, the header 4"),
        ('3,"Ulm,70,200', "not CSV"),
    ],
)
def test_a_wrong_row_is_a_flaw_with_file_and_line_and_the_next_is_read(
    line: str, reason: str, read: Any
) -> None:
    text = HOUSES.replace("4,Bonn", f"{line}\n4,Bonn")
    first, flaw, last = read("table", {"houses.csv": text}, TASK)
    assert isinstance(first, Sample)
    assert isinstance(flaw, Flaw)
    assert flaw.location == "houses.csv:3"
    assert reason in flaw.reason
    assert last.location == "houses.csv:4"


def test_a_column_with_a_few_gaps_is_still_one_of_numbers(read: Any) -> None:
    text = "a,b\n" + ",1\n" * 3 + "n/a,1\n" + "2,3\n" * 5
    rows = read("table", {"t.csv": text}, TASK)
    assert sum(isinstance(row, Flaw) for row in rows) == 4
    assert rows[-1].features == (2.0,)


@pytest.mark.parametrize("text", ["a,b\nx,1\n", "a\n1\n", "a,b\n"])
def test_a_table_needs_two_columns_of_numbers(text: str, read: Any) -> None:
    with pytest.raises(InvalidInput, match="at least two columns of numbers") as caught:
        read("table", {"t.csv": text}, TASK)
    assert caught.value.field == "parameters[target]"


def test_parquet_is_read_as_csv_is(read: Any, memory: Any) -> None:
    columns = {
        "rooms": pa.array([3, 4], pa.int8()),
        "town": ["Ulm", "Bonn"],
        "size": pa.array([70.5, 80.25], pa.float32()),
        "new": [True, False],
        "price": pa.array(["200.5", "250"]).cast(pa.decimal128(9, 2)),
    }
    files = {"houses.parquet": parquet(columns)}
    assert find_format(memory(files), TASK).name == "table"
    assert read("table", files, TASK) == [
        Sample("houses.parquet:1", Values((200.5,)), "houses.parquet:1", features=(3.0, 70.5, 1.0)),
        Sample(
            "houses.parquet:2", Values((250.0,)), "houses.parquet:2", features=(4.0, 80.25, 0.0)
        ),
    ]


def test_parquet_of_many_row_groups_equals_its_arrays(read: Any) -> None:
    draw = np.random.default_rng(0)
    table = draw.normal(size=(5000, 4))
    columns = {name: table[:, place] for place, name in enumerate("abcd")}
    rows = read("table", {"t.parquet": parquet(columns, row_group_size=700)}, TASK, target="c,a")
    np.testing.assert_array_equal([row.features for row in rows], table[:, [1, 3]])
    np.testing.assert_array_equal([row.annotation.targets for row in rows], table[:, [2, 0]])


def test_gaps_in_parquet_are_flaws_with_the_number_of_the_row(read: Any) -> None:
    columns = {"a": [1.0, None, float("nan"), 4.0], "b": [1, 2, 3, 4]}
    first, gap, nan, last = read("table", {"t.parquet": parquet(columns)}, TASK)
    assert gap == Flaw("t.parquet:2", "t.parquet:2", "column 'a': a number is missing")
    assert "finite" in nan.reason
    assert first.features == (1.0,)
    assert last.location == "t.parquet:4"


@pytest.mark.parametrize("path", ["t.parquet", "t.csv"])
@pytest.mark.parametrize("parameter", ["target", "features"])
def test_columns_of_text_are_refused(path: str, parameter: str, read: Any) -> None:
    data = parquet({"a": [1], "b": [2], "name": ["x"]})
    files = {path: data if path == "t.parquet" else "a,b,name\n1,2,x\n"}
    with pytest.raises(
        InvalidInput, match=r"'name' of t.* is not one of numbers: those are a, b"
    ) as caught:
        read("table", files, TASK, **{parameter: "name"})
    assert caught.value.field == f"parameters[{parameter}]"


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"hello" * 100])
def test_what_is_not_parquet_is_refused(data: bytes, read: Any) -> None:
    with pytest.raises(InvalidInput, match=r"t\.parquet cannot be read as Parquet") as caught:
        read("table", {"t.parquet": data}, TASK)
    assert caught.value.field == "dataset"


def test_damaged_parquet_is_refused(read: Any) -> None:
    data = bytearray(parquet({"a": np.arange(9999.0), "b": np.arange(9999.0)}, compression="gzip"))
    data[1000:9000] = bytes(8000)
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        read("table", {"t.parquet": bytes(data)}, TASK)


def test_without_pyarrow_the_extra_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotServed, match=r"pip install 'pellucid\[tables\]'"):
        read("table", {"t.parquet": b""}, TASK)


def test_csv_needs_no_pyarrow(monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert len(read("table", {"houses.csv": HOUSES}, TASK)) == 2


def test_a_list_of_images_is_not_claimed(memory: Any) -> None:
    assert not FORMATS["table"].detect(memory({"a.csv": "path,value\na.jpg,1\n"}))


def test_of_several_tables_test_is_read_unless_one_is_named(read: Any) -> None:
    files = {"train.csv": "a,b\n1,2\n", "test.csv": "a,b\n3,4\n"}
    assert [row.features for row in read("table", files, TASK)] == [(3.0,)]
    assert [row.features for row in read("table", files, TASK, file="train.csv")] == [(1.0,)]
    with pytest.raises(OutsideRoot) as caught:
        read("table", files, TASK, file="../train.csv")
    assert caught.value.field == "parameters[file]"
