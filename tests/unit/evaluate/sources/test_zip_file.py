import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput, OutsideRoot, PellucidError
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.stored import Stored
from pellucid_server.evaluate.sources.zip_file import ZipFiles

Open = Callable[..., Files]
Edit = Callable[[zipfile.ZipInfo], None]


def zipped(
    *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, edit: Edit = lambda _: None
) -> bytes:
    """A zip archive by the reference implementation; `edit` changes each member's record."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two members of one name
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            edit(info)
            archive.writestr(info, data)
    return buffer.getvalue()


@pytest.fixture
def open_bytes(open_at: Open, tmp_path: Path) -> Open:
    def open_it(data: bytes, limits: Limits | None = None) -> Files:
        (tmp_path / "set.zip").write_bytes(data)
        return open_at(tmp_path / "set.zip", limits)

    return open_it


def test_zip64_is_read(open_bytes: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of 64 bits, as large archives have them."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 3)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = zipped(("a.txt", b"first" * 9), ("b/c.txt", b"second"), ("b/d.txt", b""))
    assert b"PK\6\6" in data
    files = open_bytes(data)
    assert {path: files.read(path, 100) for path in files.walk()} == {
        "a.txt": b"first" * 9,
        "b/c.txt": b"second",
        "b/d.txt": b"",
    }


def test_offsets_count_from_the_archives_start(tmp_path: Path) -> None:
    """Bytes before the archive shift all of it."""
    (tmp_path / "a.zip").write_bytes(b"#!/bin/sh\n" + zipped(("a.txt", b"content")))
    stored = Stored(os.open(tmp_path / "a.zip", os.O_RDONLY), "a.zip")
    files = ZipFiles(stored, Limits(), lambda: None)
    assert files.read("a.txt", 10) == b"content"


def test_archives_with_a_comment_are_read(open_bytes: Open) -> None:
    buffer = io.BytesIO(zipped(("a.txt", b"content")))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"PK" * 1000
    assert open_bytes(buffer.getvalue()).read("a.txt", 10) == b"content"


def test_names_without_the_flag_of_utf8_are_of_dos(open_bytes: Open) -> None:
    data = zipped(("a.txt", b"1"), ("xyz.txt", b"2")).replace(b"xyz.txt", b"\x84\x94\x81.txt")
    assert list(open_bytes(data).files()) == ["a.txt", "äöü.txt"]


def test_backslashes_of_windows_are_slashes(open_bytes: Open) -> None:
    def by_windows(info: zipfile.ZipInfo) -> None:
        info.create_system = 0
        info.filename = info.filename.replace("|", "\\")

    data = zipped(("list.txt", b"0"), ("cats|1.jpg", b"1"), edit=by_windows)
    assert list(open_bytes(data).walk()) == ["list.txt", "cats/1.jpg"]


def test_links_are_left_out(open_bytes: Open) -> None:
    def link(info: zipfile.ZipInfo) -> None:
        if info.filename == "link":
            info.create_system = 3
            info.external_attr = 0o120777 << 16

    files = open_bytes(zipped(("a.txt", b"1"), ("link", b"/etc/passwd"), edit=link))
    assert list(files.walk()) == ["a.txt"]
    assert not files.has("link")


def test_of_two_members_of_one_name_the_later_counts(open_bytes: Open) -> None:
    """As when it is unpacked."""
    files = open_bytes(zipped(("a.txt", b"old"), ("b.txt", b""), ("a.txt", b"new")))
    assert files.read("a.txt", 10) == b"new"
    assert list(files.walk()) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "..\\a"])
def test_members_that_lead_out_are_refused(open_bytes: Open, name: str) -> None:
    def edit(info: zipfile.ZipInfo) -> None:
        info.create_system = 0
        info.filename = name

    with pytest.raises(OutsideRoot, match="leads out") as caught:
        open_bytes(zipped(("x", b"1"), edit=edit))
    assert caught.value.field == "dataset"


def test_encrypted_archives_are_refused(open_bytes: Open) -> None:
    data = bytearray(zipped(("a.txt", b"1")))
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(InvalidInput, match="without a password"):
        open_bytes(bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(open_bytes: Open, method: int) -> None:
    with pytest.raises(InvalidInput, match="pack it with `deflate`"):
        open_bytes(zipped(("a.txt", b"1"), method=method))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_is_found_by_the_check_sum(open_bytes: Open, method: int) -> None:
    data = bytearray(zipped(("a.bin", bytes(range(256)) * 4), method=method))
    data[60] ^= 1
    with pytest.raises(InvalidInput, match="damaged") as caught:
        open_bytes(bytes(data)).read("a.bin", 5000)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("claimed", [50, 150])
def test_members_that_unpack_to_another_size_are_refused(open_bytes: Open, claimed: int) -> None:
    """More would be a bomb, less is damage."""
    data = bytearray(zipped(("a.bin", bytes(100))))
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, claimed)
    with pytest.raises(InvalidInput, match=f"does not unpack to {claimed} bytes"):
        open_bytes(bytes(data)).read("a.bin", 5000)


def test_a_stored_member_cannot_claim_two_sizes(open_bytes: Open) -> None:
    data = bytearray(zipped(("a.bin", bytes(100)), method=zipfile.ZIP_STORED))
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, 2**31)
    with pytest.raises(InvalidInput, match="contradict"):
        open_bytes(bytes(data))


def test_bombs_are_refused_by_their_ratio(
    open_bytes: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank pictures up to some size are not."""
    data = zipped(("blank.bmp", bytes(10**6)))
    assert open_bytes(data).size("blank.bmp") == 10**6
    monkeypatch.setattr("pellucid_server.evaluate.sources.limits.HARMLESS", 10**5)
    with pytest.raises(InvalidInput, match=r"250 times its size.*`datasets\.ratio`"):
        open_bytes(data)
    assert open_bytes(data, Limits(ratio=1100)).size("blank.bmp") == 10**6


def test_members_that_share_their_bytes_count_each(open_bytes: Open) -> None:
    """A bomb whose members overlap is bounded by what they unpack to together."""
    data = zipped(*((f"{n}.bin", bytes(1000)) for n in range(100)))
    with pytest.raises(InvalidInput, match=r"more than 99999 bytes.*`datasets\.total_bytes`"):
        open_bytes(data, Limits(total_bytes=99_999))
    with pytest.raises(InvalidInput, match=r"more than 99 files.*`datasets\.files`"):
        open_bytes(data, Limits(files=99))
    with pytest.raises(InvalidInput, match=r"the most is 999.*`datasets\.file_bytes`"):
        open_bytes(data, Limits(file_bytes=999))


def test_names_of_absurd_depth_are_refused(open_bytes: Open) -> None:
    with pytest.raises(InvalidInput, match="deep"):
        open_bytes(zipped(("a/" * 500 + "b", b"1")))


WHOLE = zipped(("a.txt", b"content" * 50), ("b/c.txt", b"other"), ("b/d.txt", b""))


@pytest.mark.parametrize("size", range(4, len(WHOLE), 7))
def test_a_truncated_archive_is_refused(open_bytes: Open, size: int) -> None:
    with pytest.raises(InvalidInput, match="damaged zip archive"):
        open_bytes(WHOLE[:size])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(4, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_damaged_archives_give_the_domains_errors_alone(
    open_bytes: Open, changes: list[tuple[int, int]]
) -> None:
    """Whatever bytes are changed: what is read is either right or refused."""
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    with suppress(PellucidError):
        files = open_bytes(bytes(data))
        for path in files.walk():
            files.read(path, 10_000)


def test_going_back_in_a_deflated_member_starts_over(open_bytes: Open) -> None:
    content = bytes(range(256)) * 2000
    with open_bytes(zipped(("a.bin", content))).open("a.bin") as file:
        for start in (400_000, 5, 100_000, 99_000):
            file.seek(start)
            assert file.read(1000) == content[start : start + 1000]
