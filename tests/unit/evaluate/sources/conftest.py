import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.open import Places, open_dataset_files
from pellucid_server.evaluate.sources.limits import Limits

Tree = Mapping[str, bytes]
Pack = Callable[[Path, Tree], Path]


def write_folder(place: Path, tree: Tree) -> Path:
    for name, data in tree.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def write_zip(method: int, mode: str = "w") -> Pack:
    def pack(place: Path, tree: Tree) -> Path:
        with zipfile.ZipFile(place, mode, method) as archive:  # type: ignore[call-overload] # a str
            for name, data in tree.items():
                archive.writestr(name, data)
        return place

    return pack


def write_tar(mode: str, layout: int = tarfile.PAX_FORMAT) -> Pack:
    def pack(place: Path, tree: Tree) -> Path:
        with tarfile.open(place, mode, format=layout) as archive:  # type: ignore[call-overload] # as above
            for name, data in tree.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return place

    return pack


PACKERS: dict[str, Pack] = {
    "folder": write_folder,
    "stored.zip": write_zip(zipfile.ZIP_STORED),
    "deflated.zip": write_zip(zipfile.ZIP_DEFLATED),
    "pax.tar": write_tar("w"),
    "gnu.tar": write_tar("w", tarfile.GNU_FORMAT),
    "ustar.tar": write_tar("w", tarfile.USTAR_FORMAT),
    "tar.gz": write_tar("w:gz"),
    "tar.bz2": write_tar("w:bz2"),
    "tar.xz": write_tar("w:xz"),
}


@pytest.fixture(params=PACKERS)
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Tree], Path]:
    """Packs a tree, in every way in turn."""
    return lambda tree: PACKERS[request.param](tmp_path / "packed", tree)


@pytest.fixture
def open_at() -> Callable[..., Files]:
    """Opens a data set whose parent is the only root."""

    def open_it(place: Path, limits: Limits | None = None) -> Files:
        places = Places(roots=(place.parent,), limits=limits or Limits())
        return open_dataset_files(place.name, places)

    return open_it


@pytest.fixture
def memory_uri() -> str:
    """A place of its own in fsspec's memory."""
    return f"memory://{uuid4().hex}"
