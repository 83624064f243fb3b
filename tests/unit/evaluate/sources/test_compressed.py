import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pellucid_server.errors import Cancelled, InvalidInput, Overloaded
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.open import Places, open_dataset_files
from pellucid_server.evaluate.sources.compressed import zstd
from pellucid_server.evaluate.sources.limits import Limits

Open = Callable[..., Files]
Compress = Callable[[bytes], bytes]
ALL: list[Compress] = [gzip.compress, bz2.compress, lzma.compress]


def tarred(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.bin")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def open_bytes(open_at: Open, tmp_path: Path) -> Open:
    def open_it(data: bytes, limits: Limits | None = None) -> Files:
        (tmp_path / "set").write_bytes(data)
        return open_at(tmp_path / "set", limits)

    return open_it


@pytest.mark.parametrize("compress", ALL)
def test_streams_in_a_row_are_one_archive(open_bytes: Open, compress: Compress) -> None:
    """Parallel compressors write such, with zeros in between at times."""
    data = tarred(bytes(range(256)) * 4000)
    packed = b"".join(
        compress(data[start : start + 300_000]) for start in range(0, len(data), 300_000)
    )
    files = open_bytes(packed + bytes(1000))
    assert files.read("a.bin", 2 * 10**6) == bytes(range(256)) * 4000


@pytest.mark.parametrize("compress", ALL)
def test_damage_is_told(open_bytes: Open, compress: Compress) -> None:
    """Cut off, changed within, and with something else behind."""
    packed = compress(tarred(bytes(range(256)) * 40))
    changed = bytearray(packed)
    changed[len(packed) // 2] ^= 0xFF
    for data in (packed[:-9], bytes(changed), packed + b"something else"):
        with pytest.raises(InvalidInput, match="damaged archive") as caught:
            open_bytes(data)
        assert caught.value.field == "dataset"


@pytest.mark.parametrize("compress", ALL)
def test_what_is_compressed_but_no_tar_is_refused(open_bytes: Open, compress: Compress) -> None:
    with pytest.raises(InvalidInput, match="compressed, but no tar"):
        open_bytes(compress(b"a,b\n" * 500))


@pytest.mark.parametrize("compress", ALL)
def test_bombs_are_refused(
    open_bytes: Open, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = compress(tarred(bytes(3 * 10**6)))
    with pytest.raises(InvalidInput, match=r"more than 2000000 bytes.*`datasets\.spool_bytes`"):
        open_bytes(data, Limits(spool_bytes=2 * 10**6))
    monkeypatch.setattr("pellucid_server.evaluate.sources.limits.HARMLESS", 10**6)
    with pytest.raises(InvalidInput, match=r"`datasets\.ratio`"):
        open_bytes(data)


def test_xz_that_asks_for_much_memory_is_refused(open_bytes: Open) -> None:
    """Its block header is changed to ask for a dictionary of 1.5 GiB."""
    data = bytearray(lzma.compress(tarred(b"1")))
    assert data[14:16] == b"\x21\x01"  # the filter LZMA2, with one byte of properties
    data[16] = 37
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    with pytest.raises(InvalidInput, match="Memory usage limit"):
        open_bytes(bytes(data))


@pytest.mark.skipif(zstd is not None, reason="this Python has zstd")
def test_zstd_says_what_it_needs(open_bytes: Open) -> None:
    with pytest.raises(InvalidInput, match=r"Python 3\.14"):
        open_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))


@pytest.mark.skipif(zstd is None, reason="this Python has no zstd")
def test_zstd_is_read(open_bytes: Open) -> None:
    assert open_bytes(zstd.compress(tarred(b"content"))).read("a.bin", 10) == b"content"


def test_unpacking_can_be_given_up(tmp_path: Path) -> None:
    (tmp_path / "set").write_bytes(gzip.compress(tarred(bytes(10**6))))

    def give_up() -> None:
        raise Cancelled("the caller hung up")

    with pytest.raises(Cancelled):
        open_dataset_files("set", Places(roots=(tmp_path,)), give_up)


def test_the_copy_lies_in_the_folder_told_without_a_name(open_bytes: Open, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with pytest.raises(Overloaded, match="storage"):
        open_bytes(gzip.compress(tarred(b"1")), Limits(spool=spool))
    spool.mkdir()
    files = open_bytes(gzip.compress(tarred(b"1")), Limits(spool=spool))
    assert list(spool.iterdir()) == []
    assert files.read("a.bin", 10) == b"1"
