import shutil
from pathlib import Path

import pytest

from pellucid_server.runtime.watch import Watch


def write(path: Path, content: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_the_first_look_takes_everything_for_settled(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "1" / "model.xml")
    look = Watch(tmp_path).look()
    assert look.settled("cat", 1)
    assert look.versions("cat") == {
        1: {("model.xml", 1, (tmp_path / "cat/1/model.xml").stat().st_mtime_ns)}
    }


def test_a_file_that_grows_is_settled_only_when_two_looks_agree(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "1" / "model.xml")
    watch = Watch(tmp_path)
    watch.look()
    settled = []
    for content in ("xx", "xxx", "xxx", "xxx"):
        if content != (tmp_path / "cat/1/model.xml").read_text():
            write(tmp_path / "cat" / "1" / "model.xml", content)
        settled.append(watch.look().settled("cat", 1))
    assert settled == [False, False, True, True]


def test_a_folder_that_vanishes_settles_too(tmp_path: Path) -> None:
    """`mv new 1` after `mv 1 old` is one change, not an unload and a load."""
    write(tmp_path / "cat" / "1" / "model.xml")
    watch = Watch(tmp_path)
    watch.look()
    shutil.rmtree(tmp_path / "cat")
    assert not watch.look().settled("cat", 1)
    last = watch.look()
    assert last.settled("cat", 1)
    assert last.names == set()


def test_peeking_does_not_make_a_change_look_settled(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.look()
    write(tmp_path / "cat" / "1" / "model.xml")
    assert watch.peek().settled("cat", 1)
    assert not watch.look().settled("cat", 1)


def test_a_description_moves_apart_from_the_versions(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "1" / "model.xml")
    watch = Watch(tmp_path)
    watch.look()
    write(tmp_path / "cat" / "model.yaml")
    look = watch.look()
    assert look.settled("cat", 1)
    assert not look.settled("cat", None)


def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes updates a ConfigMap: `..data` is replaced, the links below stay."""
    for number in (1, 2):
        write(tmp_path / "cat" / f"..{number}" / "model.yaml", "x" * number)
    (tmp_path / "cat" / "..data").symlink_to("..1")
    (tmp_path / "cat" / "model.yaml").symlink_to("..data/model.yaml")
    watch = Watch(tmp_path)
    watch.look()
    (tmp_path / "cat" / "..new").symlink_to("..2")
    (tmp_path / "cat" / "..new").rename(tmp_path / "cat" / "..data")
    assert not watch.look().settled("cat", None)


@pytest.mark.parametrize(
    "path",
    [
        ".git/1/model.xml",
        "bad name/1/model.xml",
        "notes/readme.txt",
        "file",
        "cat/v1/model.xml",
        "cat/01/model.xml",
        "cat/0/model.xml",
        "cat/-1/model.xml",
        "cat/1",
    ],
)
def test_what_is_no_model_is_passed_over(tmp_path: Path, path: str) -> None:
    write(tmp_path / path)
    assert Watch(tmp_path).look().names == set()


def test_links_in_circles_and_into_the_void_end(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "1" / "model.xml")
    (tmp_path / "cat" / "1" / "again").symlink_to("..")
    (tmp_path / "cat" / "1" / "void").symlink_to("nowhere")
    files = Watch(tmp_path).look().versions("cat")[1]
    assert ("void", -1, 0) in files
    assert len(files) < 100


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    """Not an empty repository: a volume that is away for a moment must not unload models."""
    with pytest.raises(FileNotFoundError):
        Watch(tmp_path / "missing").look()
