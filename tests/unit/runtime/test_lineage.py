"""Where versions come from, as the repository reads it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pellucid_server.runtime.lineage import (
    FILE,
    Lineage,
    Optimization,
    read_lineage,
    write_lineage,
)

if TYPE_CHECKING:
    from tests.unit.runtime.conftest import Folder, Observed

LINEAGE = Lineage(
    parent_version=1,
    optimization=Optimization.INT8,
    settings={"preset": "mixed"},
    dataset_digest="ab12",
    create_time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    tools={"nncf": "3.4.0"},
)


def made_of(folder: "Folder", version: int, parent: int) -> None:
    path = folder.good("cat", version)
    write_lineage(path, LINEAGE.model_copy(update={"parent_version": parent}))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_lineage(tmp_path, LINEAGE)
    assert read_lineage(tmp_path) == LINEAGE


def test_a_version_of_its_owner_has_none(tmp_path: Path) -> None:
    assert read_lineage(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"parent_version": 0}',
        LINEAGE.model_dump_json().replace("mixed", "x" * 2**17),
        "\udcff",
    ],
    ids=["empty", "broken", "a list", "wrong values", "too long", "no text"],
)
def test_a_file_that_says_nothing_is_logged_and_overlooked(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_lineage(tmp_path) is None


def test_a_folder_of_that_name_is_overlooked(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert read_lineage(tmp_path) is None


def test_versions_tell_their_lineage_and_size(folder: "Folder", repository: "Observed") -> None:
    folder.good("cat", 1)
    made_of(folder, 2, parent=1)
    repository.scan()
    made, parent = repository.entry("cat").versions
    assert (made.lineage, parent.lineage) == (LINEAGE, None)
    for version in (made, parent):
        files = (folder.root / "cat" / str(version.version)).iterdir()
        assert version.size_bytes == sum(path.stat().st_size for path in files) > 0


def test_a_version_that_cannot_be_served_tells_them_too(
    folder: "Folder", repository: "Observed"
) -> None:
    write_lineage(folder.broken("cat", 2), LINEAGE)
    repository.scan()
    (broken,) = repository.entry("cat").versions
    assert broken.served is None
    assert broken.lineage == LINEAGE
    assert broken.size_bytes > 0


def test_a_lineage_that_is_replaced_is_read_again(folder: "Folder", repository: "Observed") -> None:
    folder.good("cat", 1)
    repository.scan()
    write_lineage(folder.root / "cat" / "1", LINEAGE)
    repository.settle()
    assert repository.entry("cat").versions[0].lineage == LINEAGE


def test_a_model_whose_lineage_is_broken_is_served(
    folder: "Folder", repository: "Observed"
) -> None:
    (folder.good("cat", 1) / FILE).write_text("?")
    repository.scan()
    assert repository.states("cat") == {1: "ready"}


def test_a_parent_stays_beside_what_was_made_of_it(
    folder: "Folder", repository: "Observed"
) -> None:
    """To compare them; a version of its owner's takes the place of all before."""
    folder.good("cat", 1)
    folder.good("cat", 2)
    made_of(folder, 3, parent=1)
    repository.scan()
    assert repository.states("cat") == {3: "ready", 2: "unloaded", 1: "ready"}
    assert repository.entry("cat").default_version == 3
    folder.good("cat", 4)
    repository.settle()
    assert repository.states("cat") == {4: "ready", 3: "unloaded", 2: "unloaded", 1: "unloaded"}


def test_a_parent_goes_where_it_is_unloaded(folder: "Folder", repository: "Observed") -> None:
    folder.good("cat", 1)
    made_of(folder, 2, parent=1)
    repository.scan()
    repository.unload("cat", "1")
    repository.settle()
    assert repository.states("cat") == {2: "ready", 1: "unloaded"}


def test_a_parent_is_served_without_a_gap(folder: "Folder", repository: "Observed") -> None:
    """The same object: nothing is read or compiled anew because of what was made of it."""
    folder.good("cat", 1)
    repository.scan()
    before = repository.get("cat", "1")
    made_of(folder, 2, parent=1)
    repository.load("cat", "2")
    repository.settle()
    assert repository.get("cat", "1") is before
    assert repository.unloaded == []


def test_settings_that_name_versions_win(folder: "Folder", repository: "Observed") -> None:
    folder.good("cat", 1)
    made_of(folder, 2, parent=1)
    folder.described("cat", "versions: [2]")
    repository.scan()
    assert repository.states("cat") == {2: "ready", 1: "unloaded"}
