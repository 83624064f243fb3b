"""Names of files, values of flags, places of options."""

from pathlib import Path

import pytest

from pellucid._wire.parameters import PATHS
from pellucid.cli.app import hoist
from pellucid.cli.files import slug, sources
from pellucid.cli.flags import PARAMETERS, assignment, value


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(*arguments: object) -> list[str]:
    return [str(each.name) for each in sources(list(map(str, arguments)))]


def test_names_lose_their_ending(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", "b.c.JPG", "deep/a.webp", "notes.txt")
    assert names(tmp_path) == ["a", "b_c", "deep/a"]


def test_endings_tell_apart_what_else_would_not_be(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", "a.jpg")
    assert names(tmp_path) == ["a_jpg", "a_png"]


def test_folders_tell_apart_what_else_would_not_be(tmp_path: Path) -> None:
    touched(tmp_path, "x/a.png", "y/a.png", "y/b.png")
    assert names(tmp_path / "x", tmp_path / "y") == ["x/a", "y/a", "y/b"]


def test_folders_and_endings_together(tmp_path: Path) -> None:
    touched(tmp_path, "x/a.png", "x/a.jpg", "y/a.png")
    assert names(tmp_path / "x", tmp_path / "y/a.png") == ["x/a_jpg", "x/a_png", "y/a_png"]


def test_names_that_nothing_else_tells_apart_are_numbered(tmp_path: Path) -> None:
    touched(tmp_path, "a.b.png", "a_b.png")
    assert names(tmp_path) == ["a_b_png-1", "a_b_png-2"]


def test_names_differ_where_case_does_not_count(tmp_path: Path) -> None:
    touched(tmp_path, "x/a.png", "y/A.png")
    assert names(tmp_path / "x", tmp_path / "y") == ["x/a", "y/A"]


def test_an_image_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    assert names(tmp_path, "a.png", "./a.png", "*.png") == ["a"]


def test_names_never_lead_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "x/a.png", "y/a.png", "z/w/b.png")
    monkeypatch.chdir(tmp_path / "z" / "w")
    assert names("../../x/a.png", "../../y/a.png", "b.png") == ["x/a", "y/a", "z/w/b"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    touched(tmp_path, "a[1].png")
    assert names(tmp_path / "a[1].png") == ["a[1]"]


def test_what_is_not_there_is_left_for_reading_to_tell() -> None:
    assert names("none.png") == ["none"]
    assert names("none/*.png") == []


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("tiger cat", "tiger_cat"),
        ("../../etc/passwd", "etc_passwd"),
        ("C:\\x", "C_x"),
        ("日本", "日本"),
        ("...", "_"),
        ("", "_"),
    ],
)
def test_labels_as_parts_of_file_names(label: str, expected: str) -> None:
    assert slug(label) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("False", False),
        ("7", 7),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("a", "a"),
        ("", ""),
    ],
)
def test_values_are_of_the_narrowest_type(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_an_assignment_may_hold_more_equals() -> None:
    assert assignment("a=b=c") == ("a", "b=c")


def test_flags_stand_for_parameters_that_there_are() -> None:
    for tasks in PARAMETERS.values():
        assert all(name in PATHS[task] for task, name in tasks.items())


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["health", "--json"], ["--json", "health"]),
        (["health", "-s", "a"], ["-s", "a", "health"]),
        (["health", "--server=a", "x"], ["--server=a", "health", "x"]),
        (["predict", "--", "--json"], ["predict", "--", "--json"]),
        (["health", "-s"], ["-s", "health"]),
        (["predict", "-m", "a"], ["predict", "-m", "a"]),
    ],
)
def test_shared_options_are_moved_to_the_front(args: list[str], expected: list[str]) -> None:
    assert hoist(args, {"--json": True, "--server": False, "-s": False}) == expected
