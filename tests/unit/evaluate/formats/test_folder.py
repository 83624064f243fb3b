"""The same rows from memory and from a folder on disk."""

from pathlib import Path
from typing import Any

import pytest

from pellucid_server.evaluate.formats import FORMATS, find_format
from pellucid_server.evaluate.sources.folder import Folder
from pellucid_server.evaluate.sources.single import Single


def stored(contents: Any, root: Path) -> None:
    for path, content in contents.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_folder_reads_as_memory_does(name: str, sets: Any, read: Any, tmp_path: Path) -> None:
    task, contents = sets[name]
    stored(contents, tmp_path)
    folder = Folder(tmp_path, [tmp_path], "the set")
    assert find_format(folder, task).name == name
    assert read(name, folder, task) == read(name, contents, task)


@pytest.mark.parametrize(
    ("name", "path"),
    [("csv", "list.csv"), ("table", "houses.csv"), ("imagenet_list", "val.txt")],
)
def test_the_list_alone_may_be_given_as_the_set(
    name: str, path: str, sets: Any, read: Any, tmp_path: Path
) -> None:
    """What it names lies beside it."""
    task, contents = sets[name]
    stored(contents, tmp_path)
    single = Single(Folder(tmp_path, [tmp_path], "the set"), path)
    assert find_format(single, task).name == name
    assert read(name, single, task) == read(name, contents, task)


def test_a_link_that_leads_nowhere_hinders_nobody(tmp_path: Path) -> None:
    stored({"list.csv": "path,label\na.jpg,cat\n"}, tmp_path)
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    folder = Folder(tmp_path, [tmp_path], "the set")
    assert find_format(folder, FORMATS["csv"].tasks[0]).name == "csv"


def test_images_behind_links_that_lead_out_are_flaws(read: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"")
    root = tmp_path / "set"
    stored({"list.csv": "path,label\nlink.jpg,cat\na.jpg,dog\n", "a.jpg": b""}, root)
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    flaw, sample = read("csv", Folder(root, [root], "the set"), FORMATS["csv"].tasks[0])
    assert "leads out" in flaw.reason
    assert flaw.location == "list.csv:2"
    assert sample.path == "a.jpg"
