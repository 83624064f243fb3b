import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.resize import fit, pad, up_to_multiple
from pellucid_server.spec import Preprocess, Resize
from pellucid_server.types import Array, Box, Image, Size

SIDES = st.integers(1, 90)
FITTED = [each for each in Resize if each is not Resize.NONE]


def ramps(height: int, width: int) -> Array:
    """Every pixel has the coordinates of its centre: x, y."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    return np.stack([x, y], axis=2)


def test_stretch_takes_the_whole_image(picture: Image) -> None:
    fitted, frame = fit(picture, Size(20, 20), Preprocess())
    assert fitted.shape == (20, 20, 3)
    assert frame.region == Box(0, 0, 60, 40)
    assert frame.scale == (3, 2)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "area"])
def test_shrinking_averages(picture: Image, interpolation: str) -> None:
    """The reference is a mean over blocks, in NumPy; the difference is of rounding."""
    preprocess = Preprocess.model_validate({"interpolation": interpolation})
    fitted, _ = fit(picture, Size(10, 10), preprocess)
    blocks = picture.reshape(10, 4, 10, 6, 3).mean(axis=(1, 3))
    assert np.abs(fitted - blocks).max() <= 0.51


def test_each_axis_averages_where_it_alone_shrinks() -> None:
    stripes = np.tile(np.array([[0], [255]], np.uint8), (20, 4))
    fitted, _ = fit(stripes, Size(4, 8), Preprocess())
    assert set(fitted.ravel()) <= {127, 128}


def test_nearest_makes_no_new_values() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (50, 70), np.uint8) * 200
    fitted, _ = fit(labels, Size(13, 17), Preprocess(interpolation="nearest"))
    assert set(fitted.ravel()) == {0, 200}


@pytest.mark.parametrize(
    ("interpolation", "kernel"), [("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC)]
)
def test_enlarging_interpolates_as_asked(picture: Image, interpolation: str, kernel: int) -> None:
    fitted, _ = fit(
        picture, Size(80, 90), Preprocess.model_validate({"interpolation": interpolation})
    )
    assert np.array_equal(fitted, cv2.resize(picture, (90, 80), interpolation=kernel))


def test_crop_takes_the_middle_of_the_inputs_aspect(picture: Image) -> None:
    fitted, frame = fit(picture, Size(20, 20), Preprocess(resize=Resize.CROP))
    assert frame.region == Box(10, 0, 50, 40)
    assert np.array_equal(fitted, cv2.resize(picture[:, 10:50], (20, 20), None, 0, 0, 3))


def test_crop_fraction_takes_less(picture: Image) -> None:
    _, frame = fit(picture, Size(16, 16), Preprocess(resize=Resize.CROP, crop_fraction=0.5))
    assert frame.region == Box(20, 10, 40, 30)


def test_letterbox_centres_the_image_on_its_padding(picture: Image) -> None:
    fitted, frame = fit(picture, Size(60, 60), Preprocess(resize=Resize.LETTERBOX, pad_value=114))
    assert np.array_equal(fitted[10:50], picture)
    assert (fitted[:10] == 114).all()
    assert (fitted[50:] == 114).all()
    assert frame.region == Box(0, -10, 60, 50)


def test_letterbox_top_left_pads_right_and_below(picture: Image) -> None:
    fitted, frame = fit(picture, Size(90, 60), Preprocess(resize=Resize.LETTERBOX_TOP_LEFT))
    assert np.array_equal(fitted[:40], picture)
    assert not fitted[40:].any()
    assert frame.region == Box(0, 0, 60, 90)


def test_none_repeats_the_edge_up_to_a_multiple(picture: Image) -> None:
    fitted, frame = fit(picture, None, Preprocess(resize=Resize.NONE, multiple_of=32))
    assert fitted.shape == (64, 64, 3)
    assert np.array_equal(fitted[:40, :60], picture)
    assert (fitted[40:, :60] == picture[-1]).all()
    assert (fitted[:40, 60:] == picture[:, -1:]).all()
    assert frame.region == Box(0, 0, 64, 64)
    assert frame.scale == (1, 1)


def test_none_of_a_whole_multiple_is_the_image_itself(picture: Image) -> None:
    fitted, _ = fit(picture, None, Preprocess(resize=Resize.NONE, multiple_of=20))
    assert fitted is picture


def test_none_refuses_another_size_than_the_models(picture: Image) -> None:
    with pytest.raises(InvalidInput, match=r"60 x 40.*32 x 32") as caught:
        fit(picture, Size(32, 32), Preprocess(resize=Resize.NONE))
    assert caught.value.field == "preprocess.resize"


@pytest.mark.parametrize("resize", FITTED)
def test_a_model_of_any_size_needs_a_size_or_none(picture: Image, resize: Resize) -> None:
    with pytest.raises(InvalidInput, match=r"preprocess\.size") as caught:
        fit(picture, None, Preprocess(resize=resize))
    assert caught.value.field == "preprocess.resize"


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FITTED), st.floats(0.05, 1))
def test_the_region_is_what_the_input_shows(
    height: int, width: int, down: int, across: int, resize: Resize, fraction: float
) -> None:
    """Coordinates fitted like an image are those that the frame says, where none is padding.

    Off by at most half a pixel of image or input at the borders, which have no neighbours.
    """
    coordinates = ramps(height, width)
    fitted, frame = fit(
        coordinates, Size(down, across), Preprocess(resize=resize, crop_fraction=fraction)
    )
    assert fitted.shape == (down, across, 2)
    (x_scale, y_scale), region = frame.scale, frame.region
    centres = ramps(down, across) * (x_scale, y_scale) + (region.x_min, region.y_min)
    inside = ((centres > 0) & (centres < (width, height))).all(axis=2)
    expected = centres.clip(0.5, (width - 0.5, height - 0.5))
    tolerance = 0.5 * np.maximum(1, (x_scale, y_scale)) + 1e-3
    assert (np.abs(fitted - expected)[inside] <= tolerance).all()
    assert (fitted[~inside] == 0).all()


@given(SIDES, SIDES, st.integers(1, 64))
def test_padding_to_a_multiple_is_the_least(height: int, width: int, multiple: int) -> None:
    padded = up_to_multiple(Size(height, width), multiple)
    for before, after in zip((height, width), padded, strict=True):
        assert after % multiple == 0
        assert 0 <= after - before < multiple
    assert pad(np.zeros((height, width)), padded).shape == padded


def test_an_image_as_long_as_a_road_fits() -> None:
    """One pixel high and a million wide: no side becomes 0, nothing grows beyond reason."""
    road = np.zeros((1, 1_000_000, 3), np.uint8)
    for resize in FITTED:
        fitted, frame = fit(road, Size(64, 64), Preprocess(resize=resize))
        assert fitted.shape == (64, 64, 3)
        assert frame.place(np.ones((7, 7), np.float32)).shape == (1, 1_000_000)
