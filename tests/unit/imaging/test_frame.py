import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.resize import fit
from pellucid_server.spec import Preprocess, Resize
from pellucid_server.types import Array, Box, Size

SIDES = st.integers(2, 90)
FITTED = [each for each in Resize if each is not Resize.NONE]


def framed(height: int, width: int, down: int, across: int, resize: Resize) -> Frame:
    image = np.zeros((height, width, 3), np.uint8)
    return fit(image, Size(down, across), Preprocess(resize=resize))[1]


def centres(rows: int, columns: int, region: Box) -> Array:
    """The image's coordinates x, y at the cells of a map of the region."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64) + 0.5
    x = region.x_min + x * (region.x_max - region.x_min) / columns
    y = region.y_min + y * (region.y_max - region.y_min) / rows
    return np.stack([x, y], axis=2).astype(np.float32)


def test_boxes_go_to_the_image_and_are_clipped() -> None:
    frame = Frame(Size(40, 60), Size(60, 60), Box(0, -10, 60, 50))
    boxes = np.array([[0, 10, 60, 50], [10, 20, 20, 30], [-5, 0, 70, 60]])
    assert frame.to_image(boxes).tolist() == [[0, 0, 60, 40], [10, 10, 20, 20], [0, 0, 60, 40]]


def test_no_boxes_are_no_boxes() -> None:
    frame = Frame(Size(4, 6), Size(6, 6), Box(0, 0, 6, 4))
    assert frame.to_image(np.zeros((0, 4))).shape == (0, 4)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FITTED))
def test_boxes_come_back_from_the_input(
    height: int, width: int, down: int, across: int, resize: Resize
) -> None:
    frame = framed(height, width, down, across, resize)
    (x_scale, y_scale), region = frame.scale, frame.region
    on_image = np.array(
        [
            max(region.x_min, 0),
            max(region.y_min, 0),
            min(region.x_max, width),
            min(region.y_max, height),
        ]
    )
    offset = np.array([region.x_min, region.y_min] * 2)
    on_input = (on_image - offset) / np.array([x_scale, y_scale] * 2)
    assert np.allclose(frame.to_image(on_input[None])[0], on_image, atol=1e-6)


@settings(max_examples=400, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(2, 40), st.integers(2, 40), st.sampled_from(FITTED))
def test_placing_coordinates_gives_coordinates(
    height: int, width: int, down: int, across: int, rows: int, columns: int, resize: Resize
) -> None:
    """A map of the input's coordinates, of any resolution, lands on them to half a pixel.

    Beyond the centres of the outermost cells on the image a map has nothing to
    interpolate: there it repeats them.
    """
    frame = framed(height, width, down, across, resize)
    region = frame.region
    origin = np.array([region.x_min, region.y_min])
    cell = (np.array([region.x_max, region.y_max]) - origin) / (columns, rows)
    placed = frame.place(centres(rows, columns, region), fill=-1000)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside_x = (x > region.x_min) & (x < region.x_max)
    inside = inside_x & (y > region.y_min) & (y < region.y_max)
    first = np.floor((-origin / cell).clip(0) + 1e-6)
    last = np.ceil(((width, height) - origin) / cell - 1e-6).clip(None, (columns, rows)) - 1
    outermost = origin + (first + 0.5) * cell, origin + (last + 0.5) * cell
    expected = np.stack([x, y], axis=2).clip(*outermost)
    assert (np.abs(placed - expected)[inside] <= 0.5 + 1e-3).all()
    assert (placed[~inside] == -1000).all()


@pytest.mark.parametrize("resize", FITTED)
def test_what_was_fitted_comes_back(resize: Resize) -> None:
    """A smooth picture, fitted to a larger input and placed again, differs by 1.5 of 255."""
    y, x = np.mgrid[0:30, 0:45].astype(np.float32)
    picture = np.stack([x * 5, y * 8, 250 - x * 2 - y * 3], axis=2)
    fitted, frame = fit(picture, Size(96, 80), Preprocess(resize=resize))
    placed = frame.place(fitted, fill=np.nan)
    inside = np.isfinite(placed)
    assert inside[..., 0].sum() >= 30 * 25
    assert np.abs(placed - picture)[inside].max() <= 1.5


def test_a_letterboxed_map_keeps_the_padding_out() -> None:
    """The padding's values must not bleed into the image's edge."""
    frame = framed(40, 60, 90, 90, Resize.LETTERBOX)
    values = np.full((90, 90), 9.0, np.float32)
    values[15:75] = 1
    assert (frame.place(values) == 1).all()


def test_nearest_keeps_labels_whole() -> None:
    labels = np.random.default_rng(1).choice([3.0, 200.0], (20, 20)).astype(np.float32)
    for resize in FITTED:
        placed = framed(37, 53, 20, 20, resize).place(labels, 3, "nearest")
        assert set(placed.ravel()) == {3, 200}


def test_a_map_of_the_images_size_is_placed_as_it_is() -> None:
    values = np.random.default_rng(2).random((40, 60), np.float32)
    frame = Frame(Size(40, 60), Size(224, 224), Box(0, 0, 60, 40))
    assert np.array_equal(frame.place(values), values)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_kind_and_channels_are_kept(kind: type) -> None:
    frame = Frame(Size(10, 12), Size(8, 8), Box(-2, -3.3, 9, 11))
    for shape in ((4, 4), (4, 4, 1), (4, 4, 3)):
        placed = frame.place(np.ones(shape, kind))
        assert placed.dtype == kind
        assert placed.shape == (10, 12, *shape[2:])


def test_a_fine_map_is_averaged_on_a_small_letterboxed_image() -> None:
    """Single cells of a map four times finer than the image must not be skipped."""
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (64, 32))
    placed = framed(9, 15, 16, 16, Resize.LETTERBOX).place(stripes)
    assert np.abs(placed - 0.5).max() <= 0.05
