"""What every kind of source has in common."""

import os
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.evaluate.files import Files

Tree = Mapping[str, bytes]
Pack = Callable[[Tree], Path]
Open = Callable[..., Files]

RANDOM = random.Random(1)  # noqa: S311 # test data
SMALL = RANDOM.randbytes(300)
LARGE = RANDOM.randbytes(70_000) + bytes(70_000)
TREE = {
    "list.txt": b"one\ntwo\n",
    "empty.txt": b"",
    "train/cat/2.jpg": SMALL,
    "train/cat/10.jpg": LARGE,
    "train/dog/1.jpg": b"dog",
    "train/Zebra/1.jpg": b"zebra",
    "val/ä b/ü%20.jpg": b"umlaut",
    "val/" + "long" * 30 + "/" + "name" * 20 + ".png": b"long",
    ".hidden": b"hidden",
    "train/.git/config": b"hidden",
    "__MACOSX/train/cat/2.jpg": b"hidden",
}
LISTED = sorted(p for p in TREE if p[0] not in "._" and "/." not in p)


@pytest.fixture
def files(pack: Pack, open_at: Open) -> Files:
    return open_at(pack(TREE))


def test_all_files_are_listed_but_hidden_ones(files: Files) -> None:
    assert sorted(files.walk()) == LISTED


def test_a_folders_own_files_come_first_and_all_is_sorted(files: Files) -> None:
    assert list(files.files()) == ["empty.txt", "list.txt"]
    assert list(files.folders()) == ["train", "val"]
    assert list(files.folders("train")) == ["Zebra", "cat", "dog"]
    assert list(files.walk("./train/")) == [
        "train/Zebra/1.jpg",
        "train/cat/10.jpg",
        "train/cat/2.jpg",
        "train/dog/1.jpg",
    ]


def test_contents_and_sizes_are_those_packed(files: Files) -> None:
    assert {path: files.read(path, 10**6) for path in files.walk()} == {p: TREE[p] for p in LISTED}
    assert {path: files.size(path) for path in files.walk()} == {p: len(TREE[p]) for p in LISTED}


def test_files_are_seekable(files: Files) -> None:
    """Also back, beyond the end, and from the end."""
    with files.open("train/cat/10.jpg") as file:
        assert file.seek(-10, os.SEEK_END) == len(LARGE) - 10
        assert file.read() == LARGE[-10:]
        file.seek(69_990)
        assert file.read(20) == LARGE[69_990:70_010]
        file.seek(5, os.SEEK_CUR)
        assert file.read(7) == LARGE[70_015:70_022]
        file.seek(0)
        assert file.read() == LARGE
        file.seek(len(LARGE) + 5)
        assert file.read() == b""


def test_threads_read_at_once(files: Files) -> None:
    paths = RANDOM.choices(LISTED, k=200)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda path: files.read(path, 10**6), paths)) == [
            TREE[path] for path in paths
        ]


def test_threads_list_at_once(files: Files) -> None:
    with ThreadPoolExecutor(4) as pool:
        listed = list(pool.map(lambda _: sorted(files.walk()), range(8)))
    assert listed == [LISTED] * 8


def test_reading_stops_at_its_limit(files: Files) -> None:
    assert files.read("train/cat/10.jpg", len(LARGE)) == LARGE
    with pytest.raises(InvalidInput, match="at most 139999") as caught:
        files.read("train/cat/10.jpg", len(LARGE) - 1)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("path", ["none.txt", "train/none/1.jpg", "list.txt/1", "train", ""])
def test_what_is_not_there_is_told(files: Files, path: str) -> None:
    assert not files.has(path)
    with pytest.raises(NotFound, match="has no file") as caught:
        files.open(path)
    assert caught.value.field == "dataset"
    with pytest.raises(NotFound, match="has no file"):
        files.size(path)


def test_a_folder_that_is_not_there_is_empty(files: Files) -> None:
    for folder in ("none", "train/none", "list.txt"):
        assert not list(files.folders(folder))
        assert not list(files.files(folder))
        assert not list(files.walk(folder))


@pytest.mark.parametrize("path", ["../packed/list.txt", "/etc/passwd", "train/../../secret"])
def test_paths_that_lead_out_are_refused_everywhere(files: Files, path: str) -> None:
    for call in (files.open, files.size, files.has, files.folders, lambda p: list(files.files(p))):
        with pytest.raises(OutsideRoot) as caught:
            call(path)
        assert caught.value.field == "dataset"


def test_an_empty_set_has_no_files(pack: Pack, open_at: Open, tmp_path: Path) -> None:
    place = pack({})
    if place == tmp_path / "packed" and not place.exists():
        place.mkdir()
    assert list(open_at(place).walk()) == []


def test_a_single_root_folder_of_an_archive_is_stepped_into(pack: Pack, open_at: Open) -> None:
    place = pack({"outer/set/list.txt": b"1", "outer/set/a/1.jpg": b"2", "__MACOSX/x": b""})
    files = open_at(place)
    if place.is_dir():
        assert list(files.walk()) == ["outer/set/list.txt", "outer/set/a/1.jpg"]
        return
    assert list(files.walk()) == ["list.txt", "a/1.jpg"]
    assert list(files.folders()) == ["a"]
    assert list(files.files("a")) == ["a/1.jpg"]
    assert files.read("a/1.jpg", 10) == b"2"
    assert not files.has("outer/set/list.txt")


def test_a_single_folder_of_pictures_may_be_a_class(pack: Pack, open_at: Open) -> None:
    """It keeps its name; a folder around it does not."""
    place = pack({"cat/1.jpg": b"1", "cat/2.PNG": b"2"})
    assert list(open_at(place).folders()) == ["cat"]
