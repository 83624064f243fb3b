from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.imaging.draw import (
    DARK,
    GAP,
    MISSED,
    MOST_SIDE,
    Canvas,
    Tag,
    beside,
    color_of,
)
from pellucid_server.types import Box, Image, Size

GREY = 90
RED, BLUE = (250, 20, 20), (20, 20, 250)


def plain(height: int, width: int) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def changed(canvas: Canvas) -> NDArray[np.bool_]:
    """Pixels that are no longer grey."""
    return np.asarray((np.asarray(canvas.photo) != GREY).any(2))


def test_an_untouched_picture_is_the_picture() -> None:
    """Also where it comes smaller: a mean of equal pixels."""
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    assert np.array_equal(np.asarray(Canvas(image).photo), image)
    assert (np.asarray(Canvas(plain(900, 1200), 320).photo) == GREY).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 900), (900, 5), (300, 300), (5000, 4000)])
@pytest.mark.parametrize("side", [0, 16, 63, 64, 321, 4096])
def test_a_framed_picture_keeps_to_its_side(shape: tuple[int, int], side: int) -> None:
    framed = Canvas(plain(*shape), side).framed("Heading")
    assert max(framed.shape) <= (side or MOST_SIDE)


def test_a_small_picture_is_enlarged_by_a_whole_factor() -> None:
    """Each pixel becomes a square; and only where a side is asked for."""
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    enlarged = np.asarray(Canvas(image, 320).photo)
    assert enlarged.shape == (240, 320, 3)
    assert np.array_equal(enlarged, image.repeat(8, 0).repeat(8, 1))
    assert Canvas(image).shown == Size(30, 40)


def test_a_narrow_picture_gets_room_for_words_at_its_left() -> None:
    photo = np.asarray(Canvas(plain(300, 20), 320).photo)
    assert photo.shape[1] > 100
    assert (photo[:, -20:] == GREY).all()
    assert (photo[:, :-20] == DARK).all()


def test_boxes_are_in_pixels_of_the_whole_picture() -> None:
    """Drawn on a quarter of it; to a pixel, and within the picture where they reach beyond."""
    canvas = Canvas(plain(200, 400), size=Size(800, 1600))
    canvas.outline(Box(400, 200, 800, 600), RED)
    rows, columns = np.nonzero(changed(canvas))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (50, 150, 100, 200)
    assert not changed(canvas)[60:140, 110:190].any()
    canvas = Canvas(plain(200, 400))
    canvas.outline(Box(-50, -1e9, 1e9, 60), RED)
    assert tuple(np.asarray(canvas.photo)[0, 200]) == RED
    canvas.outline(Box(900, 900, 950, 950), RED)  # wholly outside: at the corner


def test_a_mask_is_tinted_and_its_edge_is_drawn() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[20:60, 30:70] = True
    canvas = Canvas(plain(200, 200), size=Size(100, 100))
    canvas.tint(mask, RED)
    photo = np.asarray(canvas.photo).astype(int)
    expected = np.zeros((200, 200), np.bool_)
    expected[40:120, 60:140] = True
    assert np.array_equal(changed(canvas), expected)
    assert tuple(photo[40, 100]) == RED
    assert np.abs(photo[80, 100] - (0.55 * GREY + 0.45 * np.array(RED))).max() <= 1


def test_classes_are_painted_and_others_stay() -> None:
    """Also ids beyond 16 bits' sign, and negative ones."""
    classes = np.array([[0, 40_000], [-1, 7]]).repeat(50, 0).repeat(50, 1)
    canvas = Canvas(plain(100, 200))
    canvas.paint(classes, {40_000: RED, -1: BLUE})
    photo = np.asarray(canvas.photo).astype(int)
    assert (photo[:50, :100] == GREY).all()
    assert (photo[50:, 100:] == GREY).all()
    for part, color in ((photo[:50, 100:], RED), (photo[50:, :100], BLUE)):
        assert np.abs(part - (0.55 * GREY + 0.45 * np.array(color))).max() <= 1


def test_words_at_boxes_do_not_cover_each_other() -> None:
    """The first come first; where nothing is free there are none."""
    canvas, box = Canvas(plain(200, 300)), Box(100, 80, 200, 120)
    drawn = []
    for _ in range(6):
        before = np.asarray(canvas.photo).copy()
        canvas.tag(box, Tag("cat", RED))
        after = (np.asarray(canvas.photo) == RED).all(2) & (before == GREY).all(2)
        drawn.append(int(after.sum()))
        written = (before != GREY).any(2)
        assert (np.asarray(canvas.photo)[written] == before[written]).all()
    assert [pixels > 0 for pixels in drawn] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("box", [Box(0, 0, 5, 5), Box(290, 190, 300, 200), Box(-9, -9, 999, 999)])
def test_words_stay_within_the_picture(box: Box) -> None:
    canvas = Canvas(plain(200, 300))
    canvas.tag(box, Tag("a name that is far too long for this picture" * 9, RED, " 93%"))
    red = (np.asarray(canvas.photo) == RED).all(2)
    assert red.sum() > 1000


def test_a_legend_tells_how_many_lines_it_leaves_out() -> None:
    tags = [Tag("x", RED) for _ in range(100)]
    few, all_of_them = Canvas(plain(100, 200)), Canvas(plain(100, 200))
    all_of_them.legend(tags)
    few.legend(tags[:2])
    red = (np.asarray(all_of_them.photo) == RED).all(2)
    assert red.any(1).sum() > (np.asarray(few.photo) == RED).all(2).any(1).sum()
    assert (np.asarray(all_of_them.photo)[80:100] == DARK).all(2).any()  # and 97 more


def test_a_note_leaves_a_third_of_the_picture() -> None:
    canvas = Canvas(plain(300, 300))
    canvas.note("why " * 10_000)
    assert not changed(canvas)[:90].any()
    assert changed(canvas)[-10:].all()


def test_pictures_too_small_for_words_have_none() -> None:
    canvas = Canvas(plain(300, 300), 60)
    canvas.tag(Box(0, 0, 50, 50), Tag("x", RED))
    canvas.legend([Tag("x", RED)])
    canvas.note("why")
    framed = canvas.framed("Heading", MISSED)
    assert framed.shape == (60, 60, 3)
    assert (framed == GREY).all()


def test_a_heading_stands_above() -> None:
    framed = Canvas(plain(200, 300)).framed("Heading", MISSED)
    assert (framed[-200:] == GREY).all()
    strip = framed[:-200]
    assert (strip == MISSED).all(2).mean() > 0.5
    assert (strip == 255).all(2).any()


def test_panels_stand_beside_each_other() -> None:
    picture = beside([plain(20, 30), plain(10, 40)])
    assert picture.shape == (20, 70 + GAP, 3)
    assert (picture[:10, -40:] == GREY).all()
    assert (picture[10:, -40:] == 255).all()
    assert (picture[:, 30 : 30 + GAP] == 255).all()


def test_near_classes_have_colours_far_apart() -> None:
    colors = np.array([color_of(each) for each in range(12)], int)
    for one, other in pairwise(colors):
        assert np.abs(one - other).max() > 60
