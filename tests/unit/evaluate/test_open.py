import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.evaluate.open import Places, open_dataset_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "my set").mkdir(parents=True)
    (root / "my set" / "1.jpg").write_bytes(b"one")
    (root / "my set" / "list.csv").write_bytes(b"1.jpg,cat\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "root-too").mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "good link").symlink_to("my set")
    return root


@pytest.mark.parametrize(
    "uri",
    [
        "my set",
        "./my set/",
        "{root}/my set",
        "file://{root}/my%20set",
        "file://localhost{root}/my%20set/",
        "link/../my set",
        "good link",
    ],
)
def test_a_folder_under_a_root_is_opened(root: Path, uri: str) -> None:
    if uri.startswith("link"):
        (root / "link").unlink()
        (root / "link").mkdir()
    uri = uri.format(root=root)
    files = open_dataset_files(uri, Places(roots=(root,)))
    assert list(files.walk()) == ["1.jpg", "list.csv"]
    assert files.name == uri


@pytest.mark.parametrize(
    "uri",
    ["../secret", "{root}/../secret", "file://{root}/%2e%2e/secret", "link", "/etc", "../root-too"],
)
def test_what_lies_outside_is_refused(root: Path, uri: str) -> None:
    with pytest.raises(OutsideRoot) as caught:
        open_dataset_files(uri.format(root=root), Places(roots=(root,)))
    assert caught.value.field == "dataset"
    assert "secret" not in caught.value.message


def test_without_roots_nothing_is_read() -> None:
    with pytest.raises(OutsideRoot, match="`data_roots` is empty"):
        open_dataset_files("x", Places())


def test_the_first_root_that_has_it_counts(root: Path) -> None:
    other = root.parent / "root-too"
    (other / "more").mkdir()
    places = Places(roots=(root, other))
    assert list(open_dataset_files("more", places).walk()) == []
    with pytest.raises(NotFound, match="no data set") as caught:
        open_dataset_files("none", places)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("uri", ["", "a\0b", "file://host/a", "file:"])
def test_what_names_no_data_set_is_refused(root: Path, uri: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_dataset_files(uri, Places(roots=(root,)))
    assert caught.value.field == "dataset"


def test_archives_are_known_by_their_bytes(root: Path) -> None:
    """Whatever they are called; and a picture called `.zip` is none."""
    with zipfile.ZipFile(root / "a.dat", "w") as archive:
        archive.writestr("list.txt", b"1")
    with tarfile.open(root / "b.zip", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("list.txt"), io.BytesIO())
    (root / "c.zip").write_bytes(b"\xff\xd8\xff")
    places = Places(roots=(root,))
    assert list(open_dataset_files("a.dat", places).walk()) == ["list.txt"]
    assert list(open_dataset_files("b.zip", places).walk()) == ["list.txt"]
    assert list(open_dataset_files("c.zip", places).walk()) == ["c.zip"]


def test_a_single_file_is_a_set_with_the_files_beside_it(root: Path) -> None:
    files = open_dataset_files("my set/list.csv", Places(roots=(root,)))
    assert list(files.walk()) == ["list.csv"]
    assert files.folders() == ()
    assert files.read("1.jpg", 10) == b"one"
    assert files.size("1.jpg") == 3
    assert files.has("1.jpg")
    with pytest.raises(OutsideRoot):
        files.open("../a")


def test_an_archive_is_indexed_once_until_it_changes(root: Path) -> None:
    places = Places(roots=(root,))
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("list.txt", b"1")
    first = open_dataset_files("a.zip", places)
    assert open_dataset_files(f"file://{root}/a.zip", places) is first
    with zipfile.ZipFile(root / "a.zip", "a") as archive:
        archive.writestr("more.txt", b"1")
    assert list(open_dataset_files("a.zip", places).walk()) == ["list.txt", "more.txt"]


def test_uploads_need_a_store(root: Path) -> None:
    with pytest.raises(NotFound, match="no uploads"):
        open_dataset_files("uploads/" + "0" * 64, Places(roots=(root,)))


def test_a_folder_called_uploads_is_a_folder(root: Path) -> None:
    (root / "uploads" / "set").mkdir(parents=True)
    assert list(open_dataset_files("uploads/set", Places(roots=(root,))).walk()) == []
