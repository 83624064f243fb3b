from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest
from faster_coco_eval.core import mask as coco
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.encode import (
    class_color,
    encode_label_map,
    encode_mask,
    encode_picture,
    mask_to_rle,
)
from pellucid_server.types import Image, PictureFormat


def opened(data: bytes) -> PIL.Image.Image:
    image = PIL.Image.open(BytesIO(data))
    image.load()
    return image


def test_png_is_lossless(picture: Image) -> None:
    image = opened(encode_picture(picture, PictureFormat.PNG))
    assert image.format == "PNG"
    assert np.array_equal(np.asarray(image), picture)


def test_jpeg_keeps_the_chroma_at_full_resolution() -> None:
    """Red and blue columns of one pixel: subsampled they would mix to violet."""
    columns = np.zeros((32, 32, 3), np.uint8)
    columns[:, ::2, 0] = columns[:, 1::2, 2] = 255
    image = opened(encode_picture(columns, PictureFormat.JPEG))
    assert image.format == "JPEG"
    assert np.abs(np.asarray(image).astype(int) - columns).mean() <= 12
    assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined] # JPEG's


def test_a_side_too_long_for_jpeg_is_refused() -> None:
    with pytest.raises(InvalidInput, match="70000 x 1"):
        encode_picture(np.zeros((1, 70_000, 3), np.uint8), PictureFormat.JPEG)


def test_the_palette_is_pascals() -> None:
    """The colours that PASCAL VOC publishes for its first classes, its last and the void."""
    published = {0: 0, 1: 0x800000, 2: 0x008000, 3: 0x808000, 4: 0x000080, 8: 0x400000}
    published |= {15: 0xC08080, 20: 0x004080, 255: 0xE0E0C0}
    assert {each: class_color(each) for each in published} == published


def test_no_two_classes_share_a_colour() -> None:
    assert len({class_color(each) for each in range(4096)}) == 4096


def test_a_label_map_up_to_255_is_a_palette_png() -> None:
    labels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image = opened(encode_label_map(labels))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), labels)
    red, green, blue = np.asarray(image.convert("RGB"))[0, 15].tolist()
    assert red << 16 | green << 8 | blue == class_color(15)


def test_a_label_map_beyond_255_is_16_bit_grey() -> None:
    labels = np.array([[0, 256], [65535, 7]], np.uint16)
    decoded = cv2.imdecode(np.frombuffer(encode_label_map(labels), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, labels)


def test_a_mask_is_grey_0_and_255() -> None:
    mask = np.eye(5, 7, dtype=bool)
    image = opened(encode_mask(mask))
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), mask * 255)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_come_back(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    decoded = coco.decode({"size": [height, width], "counts": mask_to_rle(mask)})
    assert np.array_equal(decoded.astype(bool), mask)


def test_run_lengths_are_pycocotools() -> None:
    """Worked by hand: columns first, runs 1, 2, 1 of unset, set, unset."""
    assert mask_to_rle(np.array([[False, True], [True, False]])) == "121"
