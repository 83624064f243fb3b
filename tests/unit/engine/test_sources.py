import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from pellucid_server.engine.sources import SourceReader
from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import EncodedImage, TensorInput, Uri

PNG = cv2.imencode(".png", np.full((2, 3, 3), 7, np.uint8))[1].tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "inner folder").mkdir(parents=True)
    (root / "inner folder" / "image.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "image.png").write_bytes(PNG)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "good-link.png").symlink_to(root / "inner folder" / "image.png")
    return root


def reader(*roots: Path, max_pixels: int = 100, max_bytes: int = 10_000) -> SourceReader:
    return SourceReader(roots, max_pixels, max_bytes, Metrics())


@pytest.mark.parametrize(
    "uri",
    [
        "inner folder/image.png",
        "{root}/inner folder/image.png",
        "file://{root}/inner%20folder/image.png",
        "file://localhost{root}/inner%20folder/image.png",
        "inner folder/../inner folder/./image.png",
        "good-link.png",
    ],
)
def test_what_lies_under_a_root_is_read(root: Path, uri: str) -> None:
    """Relative, absolute, percent-encoded, with dots, and by a link that stays inside."""
    image = reader(root).image(Uri(uri.format(root=root)), "inputs[0]")
    assert image.shape == (2, 3, 3)
    assert (image == 7).all()


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.png",
        "{root}/../secret.png",
        "file://{root}/../secret.png",
        "file://{root}/%2e%2e/secret.png",
        "file://{root}/..%2fsecret.png",
        "link.png",
        "up/secret.png",
        "up/root-too/image.png",
        "{root}-too/image.png",
        "/etc/passwd",
        "inner folder/../../secret.png",
        "../not-there.png",
    ],
)
def test_what_lies_outside_is_refused(root: Path, uri: str) -> None:
    """By dots, by encoding, by links, by a folder whose name starts alike; existing or not."""
    with pytest.raises(OutsideRoot) as caught:
        reader(root).image(Uri(uri.format(root=root)), "inputs[0]")
    assert caught.value.field == "inputs[0].uri"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("uri", "error", "telling"),
    [
        ("not-there.png", NotFound, "no file"),
        ("inner folder", InvalidInput, "regular file"),
        ("%2e%2e/secret.png", NotFound, "no file"),
        ("http://example.com/image.png", InvalidInput, "'http'"),
        ("file://server/image.png", InvalidInput, "'server'"),
        ("", InvalidInput, "no file"),
        ("image.png\0.jpg", InvalidInput, "no file"),
    ],
)
def test_what_cannot_be_read_is_named(
    root: Path, uri: str, error: type[Exception], telling: str
) -> None:
    with pytest.raises(error, match=telling):
        reader(root).image(Uri(uri), "inputs[0]")


def test_a_pipe_does_not_block(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    with pytest.raises(InvalidInput, match="regular file"):
        reader(root).image(Uri("pipe.png"), "inputs[0]")


def test_a_link_put_in_place_after_the_check_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is swapped for a link outwards between resolving and opening: not found."""
    target = root / "inner folder" / "image.png"
    open_file = os.open

    def swap(path: Path, flags: int) -> int:
        target.unlink()
        target.symlink_to(root.parent / "secret.png")
        return open_file(path, flags)

    monkeypatch.setattr("pellucid_server.engine.sources.os.open", swap)
    with pytest.raises(NotFound):
        reader(root).image(Uri("inner folder/image.png"), "inputs[0]")


def test_a_folder_swapped_for_a_link_after_the_check_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above with the folder: what was really opened is compared with what was meant."""
    folder, open_file = root / "inner folder", os.open

    def swap(path: Path, flags: int) -> int:
        folder.rename(root / "moved")
        folder.symlink_to(root.parent / "root-too")
        return open_file(path, flags)

    monkeypatch.setattr("pellucid_server.engine.sources.os.open", swap)
    with pytest.raises(OutsideRoot, match="moved"):
        reader(root).image(Uri("inner folder/image.png"), "inputs[0]")


def test_files_over_the_limit_are_refused(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"limits\.message_bytes"):
        reader(root, max_bytes=10).image(Uri("good-link.png"), "inputs[0]")


def test_without_roots_no_uri_is_read() -> None:
    with pytest.raises(OutsideRoot, match="data_roots"):
        reader().image(Uri("image.png"), "inputs[0]")


def test_of_several_roots_the_first_that_has_the_file_is_read(root: Path) -> None:
    image = reader(root, root.parent / "root-too").image(Uri("image.png"), "inputs[0]")
    assert image.shape == (2, 3, 3)


def test_bytes_are_decoded_and_timed() -> None:
    sources = reader()
    assert sources.image(EncodedImage(PNG), "inputs[0]").shape == (2, 3, 3)
    assert sources.metrics.registry.get_sample_value("pellucid_decode_seconds_count") == 1


@pytest.mark.parametrize("source", [EncodedImage(b"no image"), TensorInput(())])
def test_what_is_no_image_is_refused(source: EncodedImage | TensorInput) -> None:
    with pytest.raises(InvalidInput) as caught:
        reader().image(source, "inputs[2]")
    assert caught.value.field.startswith("inputs[2]")
