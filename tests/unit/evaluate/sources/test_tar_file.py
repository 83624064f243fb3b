import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput, OutsideRoot, PellucidError
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.sources.limits import Limits

Open = Callable[..., Files]
FORMATS = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tarred(
    *members: tuple[tarfile.TarInfo, bytes], layout: int = tarfile.PAX_FORMAT, **options: object
) -> bytes:
    """A tar archive by the reference implementation."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout, **options) as archive:  # type: ignore[call-overload] # options are open
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def open_bytes(open_at: Open, tmp_path: Path) -> Open:
    def open_it(data: bytes, limits: Limits | None = None) -> Files:
        (tmp_path / "set.tar").write_bytes(data)
        return open_at(tmp_path / "set.tar", limits)

    return open_it


@pytest.mark.parametrize("layout", FORMATS)
def test_links_within_are_files_and_others_are_left_out(open_bytes: Open, layout: int) -> None:
    """A hard link is how tar writes a file that it had before."""
    files = open_bytes(
        tarred(
            member("a/1.jpg", b"picture"),
            member("a/" + "2" * 150 + ".jpg", type=tarfile.LNKTYPE, linkname="a/1.jpg"),
            member("a/3.jpg", type=tarfile.LNKTYPE, linkname="none.jpg"),
            member("a/4.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            member("fifo", type=tarfile.FIFOTYPE),
            member("device", type=tarfile.CHRTYPE),
            member("folder", type=tarfile.DIRTYPE),
            member("list.txt", b"list"),
            layout=layout,
        )
    )
    linked = "a/" + "2" * 150 + ".jpg"
    assert list(files.walk()) == ["list.txt", "a/1.jpg", linked]
    assert files.read(linked, 10) == b"picture"


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "x" * 200 + "/../.."])
def test_members_that_lead_out_are_refused(open_bytes: Open, name: str, layout: int) -> None:
    with pytest.raises(OutsideRoot, match="leads out") as caught:
        open_bytes(tarred(member(name, b"1"), layout=layout))
    assert caught.value.field == "dataset"


def test_headers_for_all_members_count_until_one_has_its_own(open_bytes: Open) -> None:
    own = member("b", b"2")
    own[0].pax_headers = {"path": "own.txt"}
    data = tarred(member("a", b"1"), own, pax_headers={"path": "common.txt", "comment": "x"})
    with tarfile.open(fileobj=io.BytesIO(data)) as reference:
        assert sorted(reference.getnames()) == ["common.txt", "own.txt"]
    files = open_bytes(data)
    assert {path: files.read(path, 10) for path in files.walk()} == {
        "common.txt": b"1",
        "own.txt": b"2",
    }


def test_sizes_in_extended_headers_count(open_bytes: Open) -> None:
    """Files of 8 GiB and more have their size there."""
    info, data = member("a.bin", b"x" * 700)
    info.pax_headers = {"size": "600"}
    files = open_bytes(tarred((info, data)))
    assert files.read("a.bin", 1000) == b"x" * 600


def test_sparse_files_are_refused(open_bytes: Open) -> None:
    old = member("a.bin", type=tarfile.GNUTYPE_SPARSE)
    new = member("a.bin", b"1")
    new[0].pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    for sparse in (old, new):
        with pytest.raises(InvalidInput, match="without `--sparse`"):
            open_bytes(tarred(sparse))


def test_a_header_of_absurd_size_is_not_read(open_bytes: Open) -> None:
    """It would be held in memory."""
    huge = member("a", bytes(2 * 2**20), type=tarfile.GNUTYPE_LONGNAME)
    with pytest.raises(InvalidInput, match="a header of 2097152 bytes"):
        open_bytes(tarred(huge, layout=tarfile.GNU_FORMAT))


@pytest.mark.parametrize(
    "records", [b"x path=a\n", b"-5 path=a\n", b"0 path=a\n", b"12 pathname\n", b"path=a\n"]
)
def test_broken_extended_headers_are_refused(open_bytes: Open, records: bytes) -> None:
    with pytest.raises(InvalidInput, match="broken extended header"):
        open_bytes(tarred(member("x", records, type=tarfile.XHDTYPE), member("a", b"1")))


def test_numbers_of_gnu_beyond_octal_digits_are_read_and_bounded(open_bytes: Open) -> None:
    """A size of 16 GiB in a file of a few bytes is a lie; so is a negative one."""
    data = bytearray(tarred(member("a.bin", b"1"), layout=tarfile.GNU_FORMAT))
    for size in (2**34, -1):
        info = tarfile.TarInfo("a.bin")
        info.size = max(size, 0)
        data[:512] = info.tobuf(tarfile.GNU_FORMAT)
        if size < 0:
            data[124:136] = b"\xff" * 12
            data[148:156] = b" " * 8
            data[148:156] = b"%06o\0 " % sum(data[:512])
        with pytest.raises(InvalidInput, match="ends too early"):
            open_bytes(bytes(data))


def test_limits_hold(open_bytes: Open) -> None:
    data = tarred(*(member(f"{n}.bin", bytes(1000)) for n in range(100)))
    for limits, setting in [
        (Limits(total_bytes=99_999), "total_bytes"),
        (Limits(files=99), "files"),
        (Limits(file_bytes=999), "file_bytes"),
    ]:
        with pytest.raises(InvalidInput, match=rf"`datasets\.{setting}`") as caught:
            open_bytes(data, limits)
        assert caught.value.field == "dataset"
    assert len(list(open_bytes(data, Limits(files=100)).walk())) == 100


WHOLE = tarred(member("a/" + "ä" * 80, b"x" * 600), member("b.txt", b"y"), member("c.txt"))


def test_an_archive_that_ends_early_is_refused(open_bytes: Open) -> None:
    """One that only lacks the blocks of zeros at its end is not."""
    end = WHOLE.rstrip(b"\0").rindex(b"c.txt") + 512
    for size in range(600, end, 256):
        # A cut between two members cannot be told from an archive without its end.
        if len(list_of(open_bytes, WHOLE[:size])) == 3:
            pytest.fail(f"read whole at {size} of {end} bytes")
    assert len(list(open_bytes(WHOLE[:end]).walk())) == 3


def list_of(open_bytes: Open, data: bytes) -> list[str]:
    try:
        return list(open_bytes(data).walk())
    except InvalidInput as error:
        assert "ends too early" in error.message or "no header" in error.message  # noqa: PT017 # each is fine
        return []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_archives_give_the_domains_errors_alone(
    open_bytes: Open, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
        # Check sums are made right, so that the change is looked at.
        start = place // 512 * 512
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    with suppress(PellucidError):
        files = open_bytes(bytes(data))
        for path in files.walk():
            files.read(path, 10_000)
