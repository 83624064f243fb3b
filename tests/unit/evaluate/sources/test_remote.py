import gzip
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot, Overloaded, PellucidError
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.open import Places, open_dataset_files
from pellucid_server.evaluate.sources.limits import Limits

TREE = {
    "list.txt": b"list",
    "cats/10.jpg": b"x" * 200_000,
    "cats/2.jpg": b"",
    ".hidden/1.jpg": b"h",
    "__MACOSX/1.jpg": b"h",
}


def put(uri: str, data: bytes) -> None:
    system, path = fsspec.core.url_to_fs(uri)
    system.makedirs(path.rpartition("/")[0], exist_ok=True)
    system.pipe(path, data)


def opened(uri: str, *allowed: str, limits: Limits | None = None) -> Files:
    return open_dataset_files(uri, Places(remotes=allowed, limits=limits or Limits()))


@pytest.fixture
def files(memory_uri: str) -> Files:
    for path, data in TREE.items():
        put(f"{memory_uri}/set/{path}", data)
    return opened(f"{memory_uri}/set/", "memory")


def test_a_remote_folder_is_listed_and_read(files: Files) -> None:
    assert list(files.walk()) == ["list.txt", "cats/10.jpg", "cats/2.jpg"]
    assert files.folders() == ["cats"]
    assert files.read("cats/10.jpg", 200_000) == TREE["cats/10.jpg"]
    assert files.read("cats/2.jpg", 5) == b""
    assert files.size("cats/10.jpg") == 200_000
    with files.open("cats/10.jpg") as file:
        file.seek(199_995)
        assert file.read() == b"x" * 5


def test_what_is_not_there_is_told(files: Files) -> None:
    assert not files.has("none.jpg")
    assert not files.has("cats")
    assert list(files.walk("none")) == []
    for call in (files.open, files.size, lambda path: files.read(path, 5)):
        with pytest.raises(NotFound, match=r"none\.jpg"):
            call("cats/none.jpg")
    for path in ("../x", "/x", "a/../../x"):
        with pytest.raises(OutsideRoot):
            files.read(path, 5)


def test_reading_stops_at_its_limit(files: Files) -> None:
    with pytest.raises(InvalidInput, match="at most 1000 are read"):
        files.read("cats/10.jpg", 1000)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("set/list.txt", b"list")
        archive.writestr("set/a/1.jpg", b"one")
    return buffer.getvalue()


def test_remote_archives_are_fetched_and_opened(memory_uri: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("list.txt"))
    put(f"{memory_uri}/a", zipped())
    put(f"{memory_uri}/b", gzip.compress(buffer.getvalue()))
    assert list(opened(f"{memory_uri}/a", "memory").walk()) == ["list.txt", "a/1.jpg"]
    assert list(opened(f"{memory_uri}/b", "memory").walk()) == ["list.txt"]
    with pytest.raises(InvalidInput, match=r"`datasets\.spool_bytes`"):
        opened(f"{memory_uri}/a", "memory", limits=Limits(spool_bytes=100))


def test_a_remote_archive_is_fetched_once_until_it_changes(memory_uri: str) -> None:
    places = Places(remotes=("memory",))
    put(f"{memory_uri}/a", zipped())
    first = open_dataset_files(f"{memory_uri}/a", places)
    assert open_dataset_files(f"{memory_uri}/a", places) is first
    put(f"{memory_uri}/a", zipped())
    assert open_dataset_files(f"{memory_uri}/a", places) is not first


def test_a_single_remote_file_has_those_beside_it(memory_uri: str) -> None:
    put(f"{memory_uri}/list.csv", b"1.jpg,cat\n")
    put(f"{memory_uri}/1.jpg", b"cat")
    files = opened(f"{memory_uri}/list.csv", "memory")
    assert list(files.walk()) == ["list.csv"]
    assert files.read("1.jpg", 10) == b"cat"


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("memory://a/set", ()),
        ("memory://a/set", ("s3",)),
        ("memory://a/set", ("memory://b", "memory://a/sets", "memory://a/set/x")),
        ("memory://a/../b", ("memory",)),
        ("memory://a/%2e%2e/b", ("memory",)),
        ("memory://a::file:///etc", ("memory",)),
        ("http://localhost/x", ("https",)),
        ("local:///etc", ("memory",)),
        ("MEMORY://a/set", ("memory://a",)),
    ],
)
def test_uris_that_are_not_allowed_are_refused(uri: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(OutsideRoot, match=r"`datasets\.remotes`") as caught:
        opened(uri, *allowed)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("allowed", ["memory", "{}", "{}/", "{}/set"])
def test_schemes_and_beginnings_are_allowed(memory_uri: str, allowed: str) -> None:
    put(f"{memory_uri}/set/a.txt", b"1")
    files = opened(f"{memory_uri}/set", allowed.format(memory_uri))
    assert list(files.walk()) == ["a.txt"]


def test_no_data_set_of_that_name(memory_uri: str) -> None:
    with pytest.raises(NotFound, match="no data set"):
        opened(f"{memory_uri}/none", "memory")


def test_names_for_messages_have_no_credentials(memory_uri: str) -> None:
    with pytest.raises(PellucidError) as caught:
        opened(memory_uri.replace("://", "://user:password@") + "/none", "memory")
    assert "password" not in caught.value.message


def test_a_scheme_whose_library_is_missing_says_so() -> None:
    with pytest.raises(InvalidInput, match="nowhere") as caught:
        opened("nowhere://a/b", "nowhere")
    assert caught.value.field == "dataset"


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(InvalidInput, match=r"pip install 'pellucid\[remote\]'"):
        opened("memory://a/b", "memory")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionError("reset"), Overloaded),
        (RuntimeError("internal of a library"), Overloaded),
        (PermissionError("denied"), InvalidInput),
        (FileNotFoundError("gone"), NotFound),
    ],
)
def test_failures_of_the_store_are_the_domains(
    files: Files, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    """A store that does not answer is not a wrong annotation."""

    def fail(*_: object, **__: object) -> bytes:
        raise error

    system = fsspec.filesystem("memory")
    monkeypatch.setattr(type(system), "cat_file", fail)
    with pytest.raises(kind):
        files.read("list.txt", 10)


def test_only_remote_reading_imports_fsspec(tmp_path: Path) -> None:
    """A server without the extra reads folders."""
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from pathlib import Path\n"
        "from pellucid_server.evaluate.open import Places, open_dataset_files\n"
        f"list(open_dataset_files('.', Places(roots=(Path({str(tmp_path)!r}),))).walk())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
