import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.objectives.places import cells, checked, tile_around
from pellucid_server.types import Box, Size


def test_a_box_touches_the_cells_it_shares_any_part_with() -> None:
    """Cells of 10 x 10 pixels: one of 1 pixel still has its cell."""
    frame = Frame(Size(40, 60), Size(4, 6), Box(0, 0, 60, 40))
    assert np.argwhere(cells(frame, Size(4, 6), Box(25, 10, 40, 11))).tolist() == [[1, 2], [1, 3]]
    assert cells(frame, Size(8, 12), Box(25, 10, 40, 20)).sum() == 2 * 3
    assert cells(frame, Size(4, 6)).all()


def test_what_pads_the_input_is_no_part_of_the_image() -> None:
    """A letterbox: 60 x 40 pixels in the middle of 60 x 60."""
    frame = Frame(Size(40, 60), Size(6, 6), Box(0, -10, 60, 50))
    assert np.argwhere(cells(frame, Size(6, 6)).any(1)).ravel().tolist() == [1, 2, 3, 4]


def test_a_tile_has_the_boxes_in_its_middle_and_stays_in_the_image() -> None:
    tile, image = Size(20, 30), Size(100, 100)
    assert tile_around([Box(50, 50, 60, 60)], tile, image) == (slice(45, 65), slice(40, 70))
    assert tile_around([Box(0, 95, 5, 100)], tile, image) == (slice(80, 100), slice(0, 30))
    pair = [Box(50, 50, 52, 52), Box(70, 60, 72, 62)]
    assert tile_around(pair, tile, image) == (slice(46, 66), slice(46, 76))
    assert tile_around(pair, Size(300, 300), image) == (slice(0, 100), slice(0, 100))


def test_boxes_that_span_more_than_a_tile_are_refused() -> None:
    with pytest.raises(InvalidInput, match="30 x 20") as caught:
        tile_around([Box(0, 0, 2, 2), Box(40, 0, 42, 2)], Size(20, 30), Size(100, 100))
    assert caught.value.field == "targets"


def test_a_box_is_cut_to_the_image_where_it_is_off_by_rounding() -> None:
    assert checked(Box(-0.5, 0, 60.01, 40), Size(40, 60), "box") == Box(0, 0, 60, 40)


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 0, 5),
        Box(5, 5, 4, 9),
        Box(0, 0, float("inf"), 5),
        Box(float("nan"), 0, 5, 5),
        Box(0, 0, 62, 40),
        Box(-2, 0, 5, 5),
        Box(60, 0, 60.5, 40),
    ],
)
def test_boxes_that_are_none_of_the_image_are_refused(box: Box) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(box, Size(40, 60), "targets[3].box")
    assert caught.value.field == "targets[3].box"
