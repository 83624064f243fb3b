import errno
import hashlib
import io
import os
import random
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pellucid_server.errors import Cancelled, InvalidInput, NotFound, OutsideRoot, Overloaded
from pellucid_server.evaluate.open import Places, open_dataset_files
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.uploads import Uploaded, Uploads

Make = Callable[..., Uploads]
Send = Callable[[Uploads, Mapping[str, bytes]], Uploaded]

DATA = random.Random(1).randbytes(5000)  # noqa: S311 # test data
DIGEST = hashlib.sha256(DATA).digest()
TREE = {"list.txt": b"one", "a/1.jpg": DATA, "a/2.jpg": b"", "b/1.jpg": DATA, ".DS_Store": b"h"}


def used(root: Path) -> int:
    return int((root / "usage").read_bytes())


def age(root: Path, seconds: float) -> None:
    """Makes all that is in the store older."""
    for path in root.rglob("*"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def left(root: Path) -> list[Path]:
    """Files other than the store's own two."""
    return [p for p in root.rglob("*") if p.is_file() and p.name not in {"lock", "usage"}]


def breaking(data: bytes) -> Iterator[bytes]:
    yield data
    raise Cancelled("the caller hung up")


def test_what_was_sent_is_read(uploads: Uploads, send: Send) -> None:
    uploaded = send(uploads, TREE)
    assert (uploaded.files, uploaded.bytes) == (4, 3 + 2 * len(DATA))
    assert abs(uploaded.expires - time.time() - 1000) < 60
    files = uploads.open(uploaded.name)
    assert list(files.walk()) == ["list.txt", "a/1.jpg", "a/2.jpg", "b/1.jpg"]
    assert {path: files.read(path, 10_000) for path in files.walk()} == {
        path: data for path, data in TREE.items() if path[0] != "."
    }
    assert files.size("a/1.jpg") == len(DATA)
    assert (files.has("a/2.jpg"), files.has("a/3.jpg")) == (True, False)
    assert files.folders() == ["a", "b"]


def test_the_name_depends_on_the_content_alone(uploads: Uploads, send: Send) -> None:
    """Not on the order, nor on hidden files; but on paths."""
    first = send(uploads, TREE)
    turned = {path: data for path, data in reversed(TREE.items()) if path[0] != "."}
    assert send(uploads, turned).name == first.name
    moved = {f"x/{path}": data for path, data in turned.items()}
    assert send(uploads, moved).name != first.name
    assert first.name.startswith("uploads/")
    assert len(first.name) == len("uploads/") + 64


def test_equal_files_are_kept_once(uploads: Uploads, send: Send, root: Path) -> None:
    send(uploads, TREE)
    send(uploads, {f"copy/{path}": data for path, data in TREE.items()})
    assert used(root) == sum(len(data) for data in set(TREE.values()))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_upload_of_one_archive_is_what_the_archive_has(
    uploads: Uploads, send: Send, kind: str
) -> None:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("set/list.txt", b"list")
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            info = tarfile.TarInfo("set/list.txt")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"list"))
    uploaded = send(uploads, {"set.bin": buffer.getvalue()})
    places = Places(uploads=uploads)
    files = open_dataset_files(uploaded.name, places)
    # A single folder with something other than pictures is what the archive has.
    assert list(files.walk()) == ["list.txt"]
    assert files.read("list.txt", 10) == b"list"


def test_an_upload_of_one_other_file_is_that_file(uploads: Uploads, send: Send) -> None:
    files = uploads.open(send(uploads, {"a/table.csv": b"x,y\n"}).name)
    assert list(files.walk()) == ["a/table.csv"]


@pytest.mark.parametrize("cut", [0, 1, 2500, 4999, 5000])
def test_an_upload_that_broke_off_goes_on(make: Make, cut: int) -> None:
    """On another server, too; the last byte is asked for again where only the end was missed."""
    with pytest.raises(Cancelled):
        make().write(DIGEST, 5000, 0, breaking(DATA[:cut]))
    there = make().received(DIGEST, 5000)
    assert there == min(cut, 4999)
    assert make().write(DIGEST, 5000, there, [DATA[there:]]) == 5000
    assert make().received(DIGEST, 5000) == 5000
    assert make().commit([("a", DIGEST, 5000)]).files == 1


def test_pieces_may_end_before_the_file(uploads: Uploads) -> None:
    assert uploads.write(DIGEST, 5000, 0, [DATA[:100], b"", DATA[100:300]]) == 300
    assert uploads.received(DIGEST, 5000) == 300
    assert uploads.write(DIGEST, 5000, 200, [DATA[200:]]) == 5000


def test_starting_over_is_allowed(uploads: Uploads) -> None:
    uploads.write(DIGEST, 5000, 0, [b"something else"])
    assert uploads.write(DIGEST, 5000, 0, [DATA]) == 5000


def test_an_offset_beyond_what_is_there_is_refused(uploads: Uploads) -> None:
    for there in (0, 300):
        if there:
            uploads.write(DIGEST, 5000, 0, [DATA[:there]])
        with pytest.raises(InvalidInput, match=f"{there} bytes of the file are there") as caught:
            uploads.write(DIGEST, 5000, 400, [DATA[400:]])
        assert caught.value.field == "file.offset"
    assert uploads.received(DIGEST, 5000) == 300


@pytest.mark.parametrize(
    ("content", "field"),
    [(DATA[:-1] + b"\0", "file.sha256"), (DATA + b"x", "chunk"), (b"x" * 10**5, "chunk")],
)
def test_what_is_not_what_it_says_is_dropped(
    uploads: Uploads, root: Path, content: bytes, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        uploads.write(DIGEST, 5000, 0, [content])
    assert caught.value.field == field
    assert left(root) == []
    assert used(root) == 0
    assert uploads.write(DIGEST, 5000, 0, [DATA]) == 5000


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((b"short", 5, 0), "file.sha256"),
        ((DIGEST, -1, 0), "file.size"),
        ((DIGEST, 5, -1), "file.offset"),
        ((DIGEST, 5, 6), "file.offset"),
        ((DIGEST, 10**7 + 1, 0), "file.size"),
    ],
)
def test_impossible_files_are_refused(
    uploads: Uploads, arguments: tuple[bytes, int, int], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        uploads.write(*arguments, [])
    assert caught.value.field == field


def test_a_file_that_is_there_is_not_written_but_taken(uploads: Uploads) -> None:
    """The stream goes on behind it."""
    uploads.write(DIGEST, 5000, 0, [DATA])
    chunks = iter([b"what", b"ever"])
    assert uploads.write(DIGEST, 5000, 0, chunks) == 5000
    assert list(chunks) == []


def test_two_writers_of_one_file_both_get_there(make: Make, root: Path) -> None:
    """The second writes apart, and what it wrote is dropped or used, never mixed."""
    first, second = make(), make()

    def chunks() -> Iterator[bytes]:
        yield DATA[:2000]
        assert second.write(DIGEST, 5000, 0, [DATA]) == 5000
        yield DATA[2000:]

    assert first.write(DIGEST, 5000, 0, chunks()) == 5000
    assert used(root) == 5000
    assert [p.read_bytes() for p in left(root)] == [DATA]


def test_a_second_writer_that_breaks_off_leaves_nothing(make: Make, root: Path) -> None:
    first, second = make(), make()

    def chunks() -> Iterator[bytes]:
        yield DATA[:2000]
        with pytest.raises(Cancelled):
            second.write(DIGEST, 5000, 0, breaking(DATA[:3000]))
        with pytest.raises(InvalidInput, match="another SHA-256"):
            second.write(DIGEST, 5000, 0, [bytes(5000)])
        with pytest.raises(Overloaded, match="by another caller"):
            second.write(DIGEST, 5000, 2000, [DATA[2000:]])
        assert used(root) == 5000
        yield DATA[2000:]

    assert first.write(DIGEST, 5000, 0, chunks()) == 5000
    assert used(root) == 5000


def test_many_writers_at_once_do_no_harm(make: Make, root: Path) -> None:
    stores = [make() for _ in range(8)]
    failures: list[Exception] = []

    def work(store: Uploads, seed: int) -> None:
        numbers = random.Random(seed)  # noqa: S311 # test data
        for _ in range(15):
            data = bytes([numbers.randrange(4)]) * 3000
            sha256 = hashlib.sha256(data).digest()
            try:
                store.write(sha256, 3000, 0, [data[:1000], data[1000:]])
                store.commit([("a", sha256, 3000)])
            except Exception as error:  # noqa: BLE001 # shown below
                failures.append(error)

    threads = [
        threading.Thread(target=work, args=(store, seed)) for seed, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert used(root) == 4 * 3000
    for blob in (root / "blobs").glob("*/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert list((root / "partial").iterdir()) == []


def test_the_quota_is_told_and_holds(make: Make) -> None:
    uploads = make(quota=6000)
    uploads.write(DIGEST, 5000, 0, [DATA[:10]])
    other = hashlib.sha256(b"y" * 1500).digest()
    with pytest.raises(Overloaded, match=r"5000 of the 6000 bytes.*`uploads\.quota_bytes`"):
        uploads.write(other, 1500, 0, [b"y" * 1500])
    assert uploads.received(other, 1500) == 0
    # What is begun has its room.
    assert uploads.write(DIGEST, 5000, 0, [DATA]) == 5000
    with pytest.raises(InvalidInput, match=r"6001 bytes.*`uploads\.quota_bytes`"):
        uploads.write(other, 6001, 0, [])


def test_a_full_disk_is_told_and_leaves_nothing(
    uploads: Uploads, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def fail(handle: int, data: bytes, start: int) -> int:
        if start >= 2000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data, start)

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(Overloaded, match="disk is full"):
        uploads.write(DIGEST, 5000, 0, [DATA[:2000], DATA[2000:]])
    assert left(root) == []
    assert used(root) == 0


def test_a_disk_full_at_the_end_is_told_and_leaves_no_list(
    uploads: Uploads, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads.write(DIGEST, 5000, 0, [DATA])

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", handle)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Overloaded, match="disk is full"):
        uploads.commit([("a", DIGEST, 5000)])
    assert list((root / "sets").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../a", OutsideRoot),
        ("/a", OutsideRoot),
        ("a/../../b", OutsideRoot),
        ("a\0b", InvalidInput),
        ("a/" * 300, InvalidInput),
    ],
)
def test_paths_are_checked(uploads: Uploads, path: str, error: type[InvalidInput]) -> None:
    uploads.write(DIGEST, 5000, 0, [DATA])
    with pytest.raises(error) as caught:
        uploads.commit([(path, DIGEST, 5000)])
    assert caught.value.field == "file.path"


def test_wrong_lists_are_refused(make: Make) -> None:
    uploads = make(limits=Limits(files=3))
    uploads.write(DIGEST, 5000, 0, [DATA])
    with pytest.raises(InvalidInput, match=r"two files have the path 'a/\./b'"):
        uploads.commit([("a/b", DIGEST, 5000), ("a/./b", DIGEST, 5000)])
    with pytest.raises(InvalidInput, match="more than 3 files"):
        uploads.commit([(f"{n}", DIGEST, 5000) for n in range(4)])
    for none in ([], [(".hidden", DIGEST, 5000)]):
        with pytest.raises(InvalidInput, match="at least one file"):
            uploads.commit(none)


def test_only_files_that_arrived_are_committed(uploads: Uploads, root: Path) -> None:
    uploads.write(DIGEST, 5000, 0, [DATA[:4999]])
    for size in (5000, 4999):
        with pytest.raises(InvalidInput, match="'a' has not arrived whole") as caught:
            uploads.commit([("a", DIGEST, size)])
        assert caught.value.field == "file"
    uploads.write(DIGEST, 5000, 4999, [DATA[4999:]])
    with pytest.raises(InvalidInput, match="has not arrived whole"):
        uploads.commit([("a", DIGEST, 4999)])
    assert list((root / "sets").iterdir()) == []


@pytest.mark.parametrize("name", ["uploads/" + "0" * 64, "uploads/x", "", "uploads/../lock"])
def test_unknown_names_are_not_found(uploads: Uploads, name: str) -> None:
    with pytest.raises(NotFound, match="upload it again") as caught:
        uploads.open(name)
    assert caught.value.field == "dataset"


def test_what_nobody_uses_expires(make: Make, send: Send, root: Path) -> None:
    uploads = make()
    old = send(uploads, {"a": b"old", "b": b"both"})
    uploads.write(DIGEST, 5000, 0, [DATA[:10]])
    age(root, 1001)
    new = send(uploads, {"b": b"both", "c": b"new"})
    make().sweep()
    assert list(uploads.open(new.name).walk()) == ["b", "c"]
    assert uploads.open(new.name).read("b", 10) == b"both"
    with pytest.raises(NotFound):
        uploads.open(old.name)
    assert uploads.received(DIGEST, 5000) == 0
    assert len(left(root)) == 3
    assert used(root) == 7


@pytest.mark.parametrize("use", ["open", "refresh", "read", "send"])
def test_use_keeps_a_data_set(make: Make, send: Send, root: Path, use: str) -> None:
    """Also reading from one that was opened long ago."""
    uploads = make(expiry=0.04 if use == "read" else 1000)
    name = send(uploads, {"a": b"1", "b": b"2"}).name
    files = uploads.open(name)
    age(root, 1001)
    if use == "open":
        uploads.open(name)
    elif use == "refresh":
        uploads.refresh(name)
    elif use == "send":
        send(uploads, {"b": b"2", "a": b"1"})
    else:
        time.sleep(0.02)
        files.read("a", 10)
    make().sweep()
    assert files.read("b", 10) == b"2"
    assert uploads.open(name).read("a", 10) == b"1"


def test_a_file_that_the_server_said_it_has_stays(make: Make, send: Send, root: Path) -> None:
    """Until the data set that needs it is sent."""
    uploads = make()
    send(uploads, {"a": DATA})
    age(root, 1001)
    assert uploads.received(DIGEST, 5000) == 5000
    make().sweep()
    assert uploads.commit([("b", DIGEST, 5000)]).files == 1


def test_a_sweep_leaves_what_is_being_written(make: Make, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield DATA[:2000]
        age(root, 1001)
        make().sweep()
        assert used(root) == 5000
        yield DATA[2000:]

    uploads = make()
    assert uploads.write(DIGEST, 5000, 0, chunks()) == 5000
    assert uploads.received(DIGEST, 5000) == 5000


def test_a_lost_count_is_made_anew(make: Make, send: Send, root: Path) -> None:
    uploads = make(quota=6000)
    send(uploads, {"a": DATA})
    for damage in (b"", b"nonsense"):
        (root / "usage").write_bytes(damage)
        with pytest.raises(Overloaded, match="5000 of the 6000"):
            uploads.write(hashlib.sha256(b"z" * 2000).digest(), 2000, 0, [])
    make().sweep()
    assert used(root) == 5000


def test_a_damaged_list_is_told_and_swept(make: Make, send: Send, root: Path) -> None:
    uploads = make()
    name = send(uploads, {"a": b"1", "b": b"2"}).name
    manifest = root / "sets" / name.removeprefix("uploads/")
    whole = manifest.read_bytes()
    for damage in (whole[:-5], whole.replace(b'"b"', b'"c"'), b"[]\n", b"{", b'["a","zz",1]\n'):
        manifest.write_bytes(damage)
        with pytest.raises(InvalidInput, match="upload it again") as caught:
            uploads.open(name)
        assert caught.value.field == "dataset"
    make().sweep()
    assert send(uploads, {"a": b"1", "b": b"2"}).name == name
    assert uploads.open(name).read("b", 10) == b"2"
