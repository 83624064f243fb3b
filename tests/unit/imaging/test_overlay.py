import cv2
import numpy as np
import pytest

from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.overlay import COLOR_MAPS, draw_overlay
from pellucid_server.types import Box, Size

IMAGE = np.full((100, 200, 3), 90, np.uint8)
WHOLE = Frame(Size(100, 200), Size(10, 20), Box(0, 0, 200, 100))


def ramp() -> np.ndarray:
    return np.tile(np.linspace(2, 5, 20, dtype=np.float32), (10, 1))


@pytest.mark.parametrize("color_map", COLOR_MAPS)
def test_colours_run_from_the_least_to_the_greatest_value(color_map: str) -> None:
    """Opacity 1 shows the map's first colour at the least value and its last at the peak."""
    drawn = draw_overlay(
        IMAGE, WHOLE, ramp(), title="", color_map=color_map, opacity=1, legend=False
    )
    for level, column in ((0, 0), (255, 199)):
        color = cv2.applyColorMap(np.asarray([[level]], np.uint8), COLOR_MAPS[color_map])[
            0, 0, ::-1
        ]
        assert np.abs(drawn[50, column].astype(int) - color).max() <= 1


def test_half_the_opacity_is_half_the_colour_over_grey() -> None:
    photo = IMAGE.copy()
    photo[..., 0] = 200  # reddish: its luminance is 0.299 * 200 + 0.701 * 90
    full, half = (
        draw_overlay(photo, WHOLE, ramp(), title="", opacity=opacity, legend=False).astype(float)
        for opacity in (1.0, 0.5)
    )
    assert np.abs((full + 0.299 * 200 + 0.701 * 90) / 2 - half).max() <= 1.5


def test_outside_the_region_the_image_is_left_alone() -> None:
    """A centre crop of half the width: the borders keep the photo's pixels."""
    crop = Frame(Size(100, 200), Size(10, 20), Box(50, 0, 150, 100))
    drawn = draw_overlay(IMAGE, crop, ramp(), title="", opacity=1, legend=False)
    assert (drawn[:, :50] == 90).all()
    assert (drawn[:, 150:] == 90).all()
    assert (drawn[:, 145:150] != 90).any()


def test_the_legend_stands_below_and_leaves_the_image_whole() -> None:
    plain = draw_overlay(IMAGE, WHOLE, ramp(), title="cat", legend=False)
    drawn = draw_overlay(IMAGE, WHOLE, ramp(), title="cat (93.1%)")
    assert np.array_equal(drawn[:100], plain)
    legend = drawn[100:]
    assert legend.shape[1] == 200
    assert (legend.reshape(-1, 3).min(1) < 60).sum() > 50  # letters are black on white
    other = draw_overlay(IMAGE, WHOLE, ramp() * 2, title="cat (93.1%)")
    assert not np.array_equal(other[100:], legend)  # the range is told


@pytest.mark.parametrize("width", [1, 17, 40])
def test_narrow_images_and_long_names_fit(width: int) -> None:
    image = np.zeros((30, width, 3), np.uint8)
    frame = Frame(Size(30, width), Size(10, 20), Box(0, 0, width, 30))
    assert draw_overlay(image, frame, ramp(), title="a very long name " * 9).shape[1] == width


def test_a_constant_map_is_drawn_without_a_warning() -> None:
    flat = np.full((10, 20), 0.25, np.float32)
    drawn = draw_overlay(IMAGE, WHOLE, flat, title="flat", legend=False)
    assert (drawn == drawn[0, 0]).all()


def test_a_box_is_outlined_in_white_between_black() -> None:
    """On the pixels just within it; all else is as without it, and the legend too."""
    plain = draw_overlay(IMAGE, WHOLE, ramp(), title="cat")
    drawn = draw_overlay(IMAGE, WHOLE, ramp(), title="cat", box=Box(40, 20, 120, 70))
    changed = np.argwhere((drawn != plain).any(2))
    assert changed.min(0).tolist() == [20, 40]
    assert changed.max(0).tolist() == [69, 119]
    assert (drawn[20, 40:120] == 0).all()
    assert (drawn[21, 41:119] == 255).all()
    assert (drawn[22, 42:118] == 0).all()
    assert np.array_equal(drawn[30:60, 50:110], plain[30:60, 50:110])


@pytest.mark.parametrize(
    "box", [Box(0, 0, 200, 100), Box(199.6, 99.7, 200, 100), Box(50, 50, 50.2, 50.2)]
)
def test_boxes_at_the_edge_and_tiny_ones_are_drawn(box: Box) -> None:
    plain = draw_overlay(IMAGE, WHOLE, ramp(), title="", legend=False)
    drawn = draw_overlay(IMAGE, WHOLE, ramp(), title="", legend=False, box=box)
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()
