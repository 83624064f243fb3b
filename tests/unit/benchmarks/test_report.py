import io
import json
from pathlib import Path

from rich.console import Console

from benchmarks.frame import Result
from benchmarks.report import figure, save, table

FAST = Result("fast", 0.94561, 0.9, 1.0, "ratio", "python -m benchmarks --only fast")
ABSENT = Result("absent", None, None, None, "s", "python -m benchmarks --only absent", "not here")


def test_file_has_the_agreed_fields(tmp_path: Path) -> None:
    """Programs read name, value, low, high, unit and command, and nothing else."""
    save([FAST, ABSENT], tmp_path / "results.json")
    absent, fast = json.loads((tmp_path / "results.json").read_text())
    assert fast == {
        "name": "fast",
        "value": 0.94561,
        "low": 0.9,
        "high": 1.0,
        "unit": "ratio",
        "command": "python -m benchmarks --only fast",
    }
    assert absent["value"] is None


def test_other_names_of_the_file_stay(tmp_path: Path) -> None:
    """One name measured anew leaves the rest of the table alone."""
    path = tmp_path / "results.json"
    save([FAST, ABSENT], path)
    save([Result("fast", 2.0, 2.0, 2.0, "ratio", "")], path)
    assert {entry["name"]: entry["value"] for entry in json.loads(path.read_text())} == {
        "fast": 2.0,
        "absent": None,
    }


def test_table_has_a_line_for_each_name_and_says_why_one_has_no_figures() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(table([FAST, ABSENT], "a machine"))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, from above
    assert "a machine" in text
    assert "0.946" in text
    assert "skipped: not here" in text


def test_figures_have_three_digits() -> None:
    figures = [figure(value) for value in (1234.5, 99.94, 1.2345, 0.01234, None)]
    assert figures == ["1234", "99.9", "1.23", "0.0123", "-"]
