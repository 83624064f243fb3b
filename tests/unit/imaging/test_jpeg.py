from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest

from pellucid_server.imaging.jpeg import jpeg_pixels, plain_size
from pellucid_server.types import Image, Size

ON_ITS_SIDE = 6


def jpeg(picture: PIL.Image.Image, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def photo(picture: Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(picture)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [30, 90])
def test_pixels_are_opencvs(
    photo: PIL.Image.Image,
    subsampling: str,
    progressive: bool,  # noqa: FBT001 - a parametrised flag
    quality: int,
) -> None:
    """The difference is 0: both call libjpeg-turbo with its exact transform."""
    data = jpeg(photo, subsampling=subsampling, progressive=progressive, quality=quality)
    reference = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert reference is not None
    pixels = jpeg_pixels(data, Size(photo.height, photo.width))
    assert pixels is not None
    assert np.array_equal(pixels, reference)


def test_a_plain_jpeg_tells_its_size(photo: PIL.Image.Image) -> None:
    size = Size(photo.height, photo.width)
    assert plain_size(jpeg(photo)) == plain_size(jpeg(photo.convert("L"))) == size


def test_what_may_lie_on_its_side_is_not_plain(photo: PIL.Image.Image) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = ON_ITS_SIDE
    note = b"<x:xmpmeta><rdf:Description tiff:Orientation='6'/></x:xmpmeta>"
    assert plain_size(jpeg(photo, exif=exif)) is None
    assert plain_size(jpeg(photo, xmp=note)) is None


def test_other_colours_and_other_formats_are_not_plain(photo: PIL.Image.Image) -> None:
    file = BytesIO()
    photo.save(file, "PNG")
    for data in (jpeg(photo.convert("CMYK")), file.getvalue(), b"", b"\xff\xd8\xff"):
        assert plain_size(data) is None


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_jpeg_has_no_pixels(photo: PIL.Image.Image, kept: float) -> None:
    """Grey where the rest of the photo was would be a silent wrong answer."""
    data = jpeg(photo)
    assert jpeg_pixels(data[: int(kept * len(data))], Size(photo.height, photo.width)) is None
