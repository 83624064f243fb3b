import contextlib
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL.Image import Transpose

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.decode import decode_image, decode_mask, decode_reduced
from pellucid_server.types import Image, Size

SAMPLES = Path(__file__).parents[3] / "samples"
LIMIT = 1_000_000
LOSSLESS = ("PNG", "BMP", "TIFF", "WEBP")
ROTATIONS = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
"""How a camera that writes this orientation stores an upright picture."""


def encoded(image: PIL.Image.Image, format_: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def decode(data: bytes, limit: int = LIMIT) -> Image:
    return decode_image(data, max_pixels=limit, field="inputs[0].image")


def refusal(data: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode(data, limit)
    assert caught.value.field == "inputs[0].image"
    return caught.value.message


@pytest.mark.parametrize("format_", LOSSLESS)
def test_a_lossless_format_keeps_every_pixel(format_: str, picture: Image) -> None:
    data = encoded(PIL.Image.fromarray(picture), format_, lossless=True)
    assert np.array_equal(decode(data), picture)


@pytest.mark.parametrize("quality", [50, 95])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_equals_pillow_within_rounding(
    picture: Image,
    quality: int,
    progressive: bool,  # noqa: FBT001 - a parametrised flag
) -> None:
    data = encoded(PIL.Image.fromarray(picture), "JPEG", quality=quality, progressive=progressive)
    reference = np.asarray(PIL.Image.open(BytesIO(data)).convert("RGB"), np.int16)
    assert np.abs(decode(data) - reference).max() <= 2


def test_grey_jpeg_has_three_equal_channels(picture: Image) -> None:
    data = encoded(PIL.Image.fromarray(picture[..., 0]), "JPEG")
    decoded = decode(data)
    assert np.array_equal(decoded[..., 0], decoded[..., 2])
    assert np.abs(decoded[..., 1].astype(int) - picture[..., 0]).max() <= 4


def test_cmyk_jpeg_has_its_colours() -> None:
    red = PIL.Image.new("RGB", (32, 32), (250, 10, 20)).convert("CMYK")
    assert np.abs(decode(encoded(red, "JPEG")).astype(int) - (250, 10, 20)).max() <= 3


def test_adobe_ycck_jpeg_has_its_colours() -> None:
    """Adobe writes inverted CMYK as YCCK; Pillow's file has its marker, set to transform 2."""
    red = PIL.Image.new("RGB", (32, 32), (250, 10, 20)).convert("CMYK")
    data = encoded(red, "JPEG")
    reference = np.asarray(PIL.Image.open(BytesIO(data)).convert("RGB"))
    marker = data.index(b"Adobe")
    ycck = bytearray(data)
    ycck[marker + 11] = 2
    expected = np.asarray(PIL.Image.open(BytesIO(bytes(ycck))).convert("RGB"))
    assert not np.array_equal(expected, reference)
    assert np.array_equal(decode(bytes(ycck)), expected)


def test_gif_gives_its_first_frame() -> None:
    frames = [PIL.Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(decode(data), np.full((10, 20, 3), (255, 0, 0)))


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(format_: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    decoded = decode(encoded(PIL.Image.fromarray(values), format_))
    assert decoded[0, :, 0].tolist() == np.rint(values[0] / 257).astype(int).tolist()


def test_16_bit_colour_png_is_scaled() -> None:
    values = np.array([[[0, 257, 32768], [65535, 1000, 60000]]], np.uint16)
    decoded = decode(cv2.imencode(".png", values[..., ::-1])[1].tobytes())
    assert np.abs(decoded - values / 257).max() <= 1


def test_float_tiff_is_refused() -> None:
    assert "mode F" in refusal(encoded(PIL.Image.new("F", (4, 4)), "TIFF"))


def test_transparent_pixels_are_white() -> None:
    rgba = np.array([[[9, 9, 9, 0], [10, 20, 30, 255], [0, 0, 0, 127]]], np.uint8)
    decoded = decode(encoded(PIL.Image.fromarray(rgba), "PNG"))
    assert decoded[0].tolist() == [[255] * 3, [10, 20, 30], [128] * 3]


def test_grey_with_alpha_is_composited() -> None:
    grey = PIL.Image.fromarray(np.array([[[0, 0], [7, 255]]], np.uint8), "LA")
    assert decode(encoded(grey, "PNG"))[0, :, 0].tolist() == [255, 7]


@pytest.mark.parametrize("format_", ["PNG", "GIF"])
def test_palette_with_a_transparent_entry_is_composited(format_: str) -> None:
    palette = PIL.Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putdata([0, 1])
    decoded = decode(encoded(palette, format_, transparency=1))
    assert decoded[0].tolist() == [[200, 0, 0], [255, 255, 255]]


def test_one_bit_image_is_black_and_white() -> None:
    image = PIL.Image.fromarray(np.eye(8, dtype=bool))
    assert np.array_equal(decode(encoded(image, "PNG"))[..., 0], np.eye(8) * 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_comes_upright(
    format_: str, orientation: int, picture: Image
) -> None:
    turn = ROTATIONS[orientation]
    stored = PIL.Image.fromarray(picture)
    stored = stored if turn is None else stored.transpose(turn)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, format_, exif=exif, quality=100, lossless=True)
    decoded = decode(data)
    assert decoded.shape == picture.shape
    assert decoded.flags.c_contiguous
    assert np.abs(decoded.astype(int) - picture).max() <= (12 if format_ == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_broken_exif_costs_nothing(exif: bytes, picture: Image) -> None:
    assert decode(encoded(PIL.Image.fromarray(picture), "JPEG", exif=exif)).shape == picture.shape


def test_an_empty_file_is_refused() -> None:
    assert "empty" in refusal(b"")


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"<svg/>"])
def test_what_is_no_image_names_the_formats(data: bytes) -> None:
    assert "JPEG, PNG, WebP, BMP, GIF or TIFF" in refusal(data)


@pytest.mark.parametrize("format_", ["PPM", "ICO", "TGA", "PCX"])
def test_a_format_off_the_list_is_refused(format_: str, picture: Image) -> None:
    assert "not an image" in refusal(encoded(PIL.Image.fromarray(picture), format_))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_image_is_refused(format_: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(PIL.Image.fromarray(noise), format_)
    message = refusal(data[: int(len(data) * kept)])
    assert "truncated" in message or "not an image" in message


def test_over_the_limit_says_size_limit_and_setting(picture: Image) -> None:
    message = refusal(encoded(PIL.Image.fromarray(picture), "PNG"), limit=2399)
    for part in ("60 x 40", "2399", "limits.image_pixels"):
        assert part in message
    assert decode(encoded(PIL.Image.fromarray(picture), "PNG"), limit=2400).shape == (40, 60, 3)


def test_a_bomb_is_refused_by_its_header(picture: Image) -> None:
    """The header says 60,000 x 60,000; the pixels are not there, so none was decoded."""
    data = bytearray(encoded(PIL.Image.fromarray(picture), "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    assert "60000 x 60000" in refusal(bytes(data))


def test_pillows_own_limit_does_not_interfere() -> None:
    """Pillow warns from 89 million pixels; 100 million of one bit are fine with a higher limit."""
    data = encoded(PIL.Image.new("1", (20_000, 5_000)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "100000000" not in refusal(data, limit=99_999_999).split("limit of")[0]
        assert decode(data, limit=100_000_000).shape == (5_000, 20_000, 3)


def test_a_tiff_with_huge_tiles_is_refused() -> None:
    tags = {322: 60_000, 323: 60_000, 324: 8, 325: 4}
    entries = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1} | tags
    body = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items())
    )
    data = b"II*\0" + struct.pack("<I", 16) + b"\0" * 8
    data += struct.pack("<H", len(entries)) + body + b"\0" * 4
    assert "limit" in refusal(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"II*\0", b"BM", b"GIF89a"]))
def test_random_bytes_raise_only_invalid_input(data: bytes, start: bytes) -> None:
    attempt(start + data)


def originals() -> dict[str, bytes]:
    small = PIL.Image.open(SAMPLES / "rocket.jpg").resize((48, 32))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    files = {name: encoded(small, name, exif=exif) for name in ("JPEG", "PNG", "WEBP", "TIFF")}
    files |= {name: encoded(small, name) for name in ("BMP", "GIF")}
    files["CMYK"] = encoded(small.convert("CMYK"), "JPEG")
    files["LZW"] = encoded(small, "TIFF", compression="tiff_lzw")
    files["RGBA"] = encoded(small.convert("RGBA"), "PNG")
    files["PALETTE"] = encoded(small.convert("P"), "PNG", transparency=3)
    return files


ORIGINALS = originals()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(ORIGINALS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), max_size=6),
    st.floats(0, 1),
)
def test_mutated_files_raise_only_invalid_input(
    name: str, changes: list[tuple[float, bytes]], kept: float
) -> None:
    data = bytearray(ORIGINALS[name])
    for place, patch in changes:
        start = int(place * len(data))
        data[start : start + len(patch)] = patch
    attempt(bytes(data[: max(1, int(len(data) * (1 - kept**4)))]))


def attempt(data: bytes) -> None:
    """Decodes; anything but InvalidInput, a warning included, fails the test."""
    with contextlib.suppress(InvalidInput):
        decoded = decode(data, limit=100_000)
        assert decoded.dtype == np.uint8
        assert decoded.ndim == 3
        assert decoded.shape[2] == 3


def test_a_mask_is_set_where_it_is_brighter_than_half() -> None:
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    data = encoded(PIL.Image.fromarray(grey), "PNG")
    mask = decode_mask(data, Size(1, 4), max_pixels=LIMIT, field="inpainting.mask")
    assert mask.tolist() == [[False, False, True, True]]


def test_transparent_parts_of_a_mask_are_not_set() -> None:
    rgba = PIL.Image.fromarray(np.array([[[255] * 4, [255, 255, 255, 0]]], np.uint8))
    mask = decode_mask(encoded(rgba, "PNG"), Size(1, 2), max_pixels=LIMIT, field="f")
    assert mask.tolist() == [[True, False]]


def test_a_mask_of_another_size_is_refused(picture: Image) -> None:
    data = encoded(PIL.Image.fromarray(picture), "PNG")
    with pytest.raises(InvalidInput, match=r"60 x 40.*40 x 60") as caught:
        decode_mask(data, Size(60, 40), max_pixels=LIMIT, field="inpainting.mask")
    assert caught.value.field == "inpainting.mask"


@pytest.mark.parametrize(("factor", "side"), [(1, 800), (2, 300), (4, 150), (8, 40)])
def test_a_large_jpeg_is_decoded_no_larger_than_needed(factor: int, side: int) -> None:
    """At least twice what is needed, upright, with the size of the whole picture."""
    picture = np.zeros((1300, 1900, 3), np.uint8)
    picture[:, :950] = (200, 100, 50)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    PIL.Image.fromarray(picture).save(buffer, "JPEG", quality=95, exif=exif)
    data = buffer.getvalue()
    image, size = decode_reduced(data, Size(side, side), max_pixels=10**7, field="image")
    assert size == (1900, 1300)
    assert image.shape[:2] == (-(-1900 // factor), -(-1300 // factor))
    whole = decode_image(data, max_pixels=10**7, field="image")
    small = cv2.resize(whole, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    edge = slice(image.shape[0] // 2 - 8, image.shape[0] // 2 + 8)
    difference = np.abs(small.astype(int) - image)
    difference[edge] = 0
    assert difference.max() <= 3
