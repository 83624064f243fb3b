import os
import threading
from pathlib import Path

import pytest

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.evaluate.sources.folder import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "set" / "cats").mkdir(parents=True)
    (root / "pool").mkdir()
    (root / "pool" / "1.jpg").write_bytes(b"pooled")
    (root / "set" / "cats" / "2.jpg").write_bytes(b"own")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.jpg").write_bytes(b"secret")
    return root


def folder(root: Path) -> Folder:
    return Folder(root / "set", (root,), "set")


def test_links_within_the_roots_are_followed(root: Path) -> None:
    """Also out of the data set: pictures may lie in a folder for several."""
    (root / "set" / "dogs").symlink_to(root / "pool")
    (root / "set" / "cats" / "3.jpg").symlink_to("../../pool/1.jpg")
    files = folder(root)
    assert list(files.walk()) == ["cats/2.jpg", "cats/3.jpg", "dogs/1.jpg"]
    assert files.read("dogs/1.jpg", 10) == files.read("cats/3.jpg", 10) == b"pooled"


def test_a_linked_file_that_lies_outside_is_listed_and_refused(root: Path) -> None:
    """It becomes a wrong annotation, rather than one that goes unnoticed."""
    (root / "set" / "cats" / "3.jpg").symlink_to("../../../secret/s.jpg")
    files = folder(root)
    assert list(files.walk()) == ["cats/2.jpg", "cats/3.jpg"]
    for call in (files.open, files.size, files.has):
        with pytest.raises(OutsideRoot, match=r"'cats/3\.jpg' leads out") as caught:
            call("cats/3.jpg")
        assert caught.value.field == "dataset"


def test_a_linked_folder_that_lies_outside_is_refused(root: Path) -> None:
    (root / "set" / "dogs").symlink_to("../../secret")
    files = folder(root)
    with pytest.raises(OutsideRoot, match="'dogs' leads out"):
        list(files.walk())
    with pytest.raises(OutsideRoot, match="leads out"):
        files.open("dogs/s.jpg")


def test_links_in_a_circle_end(root: Path) -> None:
    """To itself, to where it lies, and to each other."""
    (root / "set" / "self").symlink_to(".")
    (root / "set" / "cats" / "up").symlink_to("../..")
    (root / "set" / "a").mkdir()
    (root / "set" / "b").mkdir()
    (root / "set" / "a" / "b").symlink_to("../b")
    (root / "set" / "b" / "a").symlink_to("../a")
    (root / "set" / "a" / "1.jpg").write_bytes(b"1")
    (root / "set" / "loop").symlink_to("loop")
    files = folder(root)
    assert list(files.walk()) == ["loop", "a/1.jpg", "b/a/1.jpg", "cats/2.jpg"]
    with pytest.raises(NotFound):
        files.open("loop")


def test_a_link_to_nothing_is_not_found(root: Path) -> None:
    (root / "set" / "gone.jpg").symlink_to("nothing")
    files = folder(root)
    assert list(files.files()) == ["gone.jpg"]
    assert not files.has("gone.jpg")
    with pytest.raises(NotFound, match=r"gone\.jpg"):
        files.read("gone.jpg", 10)


def test_pipes_are_refused_without_waiting(root: Path) -> None:
    os.mkfifo(root / "set" / "pipe")
    files = folder(root)
    assert not files.has("pipe")
    assert list(files.files()) == []
    with pytest.raises(InvalidInput, match="no regular file"):
        files.open("pipe")


def test_a_file_that_becomes_a_link_while_it_is_opened_is_refused(root: Path) -> None:
    """Never is the secret read, however the two race."""
    files = folder(root)
    place, stop = root / "set" / "cats" / "2.jpg", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "link").symlink_to(root.parent / "secret" / "s.jpg")
            (root / "link").rename(place)
            (root / "file").write_bytes(b"own")
            (root / "file").rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            try:
                assert files.read("cats/2.jpg", 10) == b"own"
            except (OutsideRoot, NotFound):
                continue
    finally:
        stop.set()
        thread.join()


def test_names_that_are_not_utf8_are_left_out(root: Path) -> None:
    (root / "set" / os.fsdecode(b"\xff.jpg")).write_bytes(b"1")
    assert list(folder(root).walk()) == ["cats/2.jpg"]


def test_a_folder_is_read_when_it_is_reached(root: Path) -> None:
    """A walk is lazy: what is added further on is seen."""
    walk = folder(root).walk()
    (root / "set" / "first.txt").write_bytes(b"")
    assert next(walk) == "first.txt"
    (root / "set" / "cats" / "1.jpg").write_bytes(b"")
    assert list(walk) == ["cats/1.jpg", "cats/2.jpg"]
