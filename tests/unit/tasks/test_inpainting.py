from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import TaskModel
from pellucid_server.tasks.inpainting import Inpainting
from pellucid_server.types import (
    Array,
    Box,
    Feeds,
    Image,
    Infer,
    InpaintingParameters,
    Outputs,
    PictureFormat,
    Port,
    Task,
)

Parameters = InpaintingParameters
HOLE = Box(4, 6, 12, 10)


def painter(
    size: tuple[int, int] = (32, 32),
    mask: tuple[int, ...] | None = None,
    resize: Resize = Resize.STRETCH,
    interpolation: str = "linear",
) -> Inpainting:
    preprocess = {"resize": resize, "interpolation": interpolation}
    spec = ModelSpec(
        task=Task.INPAINTING,
        preprocess=Preprocess.model_validate(preprocess),
        inputs={"mask": "holes"},
    )
    inputs = [Port("image", "f32", (1, 3, *size)), Port("holes", "f32", mask or (1, 1, *size))]
    return Inpainting(spec, inputs, [Port("out", "f32", (1, 3, *size))])


class Grey:
    """A model that paints everything mid-grey and keeps what it was fed."""

    def __init__(self) -> None:
        self.feeds: dict[str, Array] = {}

    def __call__(self, feeds: Feeds) -> Outputs:
        self.feeds = dict(feeds)
        _, height, width, _ = feeds["image"].shape
        return {"out": np.full((1, 3, height, width), 0.5, np.float32)}


def photo(height: int = 20, width: int = 30) -> Image:
    return np.random.default_rng(4).integers(1, 256, (height, width, 3), np.uint8)


def test_only_the_hole_is_painted() -> None:
    image = photo()
    result = painter().predict(image, Parameters((HOLE,)), Grey()).image
    inside = np.zeros((20, 30), bool)
    inside[6:10, 4:12] = True
    assert (result[inside] == 128).all()
    assert np.array_equal(result[~inside], image[~inside])


def test_rectangles_and_mask_add_up_and_the_mask_stays_as_it_was() -> None:
    mask = np.zeros((20, 30), bool)
    mask[0, 0] = True
    result = painter().predict(photo(), Parameters((HOLE,), mask), Grey()).image
    assert ((result == 128).all(2)).sum() == 4 * 8 + 1
    assert mask.sum() == 1


def test_a_rectangle_fills_every_pixel_it_touches() -> None:
    box = Box(3.9, 5.5, 5.1, 6)
    result = painter().predict(photo(), Parameters((box,)), Grey()).image
    rows, columns = np.nonzero((result == 128).all(2))
    assert set(rows) == {5}
    assert set(columns) == {3, 4, 5}


def test_the_model_sees_the_holes_black_and_their_mask() -> None:
    grey, image = Grey(), photo(32, 32)
    painter().predict(image, Parameters((HOLE,)), grey)
    expected = np.zeros((1, 1, 32, 32), np.float32)
    expected[:, :, 6:10, 4:12] = 1
    assert grey.feeds["holes"].dtype == np.float32
    assert np.array_equal(grey.feeds["holes"], expected)
    assert grey.feeds["image"].dtype == np.uint8
    assert np.array_equal(grey.feeds["image"][0], np.where(expected[0, 0, ..., None], 0, image))


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 32, 32, 1), (1, 32, 32)])
def test_the_mask_has_the_ports_shape(shape: tuple[int, ...]) -> None:
    grey = Grey()
    painter(mask=shape).predict(photo(), Parameters((HOLE,)), grey)
    assert grey.feeds["holes"].shape == shape


@settings(deadline=None, max_examples=100)
@given(
    st.integers(2, 80),
    st.integers(2, 80),
    st.data(),
    st.sampled_from(["linear", "cubic", "area", "nearest"]),
    st.sampled_from([Resize.STRETCH, Resize.LETTERBOX]),
)
def test_no_hole_pixel_is_shown_to_the_model(
    height: int, width: int, data: st.DataObject, interpolation: str, resize: Resize
) -> None:
    """The hole is white, the rest black: outside the mask the model's input stays black.

    And the mask has a hole wherever the centre of the one hole pixel falls.
    """
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    image = np.zeros((height, width, 3), np.uint8)
    image[y, x] = 255
    model = painter(resize=resize, interpolation=interpolation)
    prepared = model.prepare(image, Parameters((Box(x, y, x + 1, y + 1),)))
    assert not prepared.feeds["image"].any()
    mask, (across, down), region = prepared.feeds["holes"][0, 0], *scale_and_region(prepared)
    column, row = int((x + 0.5 - region.x_min) / across), int((y + 0.5 - region.y_min) / down)
    assert mask[min(row, 31), min(column, 31)] == 1


def scale_and_region(prepared: Any) -> tuple[tuple[float, float], Box]:
    return prepared.frame.scale, prepared.frame.region


def test_letterbox_padding_is_a_hole() -> None:
    """The model must take nothing from it."""
    grey = Grey()
    painter(resize=Resize.LETTERBOX).predict(photo(16, 32), Parameters((HOLE,)), grey)
    assert (grey.feeds["holes"][0, 0, :8] == 1).all()
    assert (grey.feeds["holes"][0, 0, 24:] == 1).all()
    assert grey.feeds["holes"][0, 0, 8:24].sum() == 32


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (Parameters(), "rectangles"),
        (Parameters(mask=np.zeros((20, 30), bool)), "mask"),
        (Parameters(mask=np.ones((30, 20), bool)), "mask"),
        (Parameters((HOLE, Box(0, 0, 31, 5))), "rectangles[1]"),
        (Parameters((Box(-1, 0, 5, 5),)), "rectangles[0]"),
        (Parameters((HOLE, HOLE, Box(0, 0, 5, 20.5))), "rectangles[2]"),
        (Parameters((Box(5, 5, 5, 9),)), "rectangles[0]"),
        (Parameters((Box(9, 5, 5, 9),)), "rectangles[0]"),
        (Parameters((Box(0, float("nan"), 5, 9),)), "rectangles[0]"),
        (Parameters((Box(0, 0, float("inf"), 9),)), "rectangles[0]"),
        (Parameters((Box(0, 0, 30, 20),)), ""),
    ],
)
def test_wrong_holes_are_refused(parameters: Parameters, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        painter().predict(photo(), parameters, Grey())
    assert caught.value.field == f"inpainting.{field}".rstrip(".")


def test_a_model_without_a_mask_input_is_refused() -> None:
    spec = ModelSpec(task=Task.INPAINTING)
    ports = [Port("image", "f32", (1, 3, 8, 8))]
    with pytest.raises(InvalidInput) as caught:
        Inpainting(spec, ports, [Port("out", "f32", (1, 3, 8, 8))])
    assert caught.value.field == "inputs.mask"


def test_crops_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        painter(resize=Resize.CROP)
    assert caught.value.field == "preprocess.resize"


def test_the_asked_format_is_kept() -> None:
    parameters = Parameters((HOLE,), format=PictureFormat.JPEG)
    assert painter().predict(photo(), parameters, Grey()).format is PictureFormat.JPEG


def test_push_pull_fills_about_as_well_as_telea(
    zoo: Callable[[str], tuple[TaskModel[Any, Any], Infer]], sample: Callable[[str], Image]
) -> None:
    """Peak signal-to-noise ratio in the hole: no more than 2 dB behind OpenCV's Telea."""
    model, infer = zoo("push-pull")
    image = sample("chelsea.png")
    parameters = Parameters((Box(60, 40, 100, 90), Box(300, 180, 330, 240)))
    filled = model.predict(image, parameters, infer).image
    inside = np.zeros(image.shape[:2], bool)
    inside[40:90, 60:100] = inside[180:240, 300:330] = True
    assert np.array_equal(filled[~inside], image[~inside])
    telea = cv2.inpaint(image, inside.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    assert signal_to_noise(filled, image, inside) > signal_to_noise(telea, image, inside) - 2
    assert signal_to_noise(filled, image, inside) > 15


def signal_to_noise(one: Array, other: Array, inside: Array) -> float:
    error = np.square(one[inside].astype(float) - other[inside]).mean()
    return float(10 * np.log10(255**2 / error))
