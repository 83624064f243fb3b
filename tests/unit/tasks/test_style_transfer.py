from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import TaskModel
from pellucid_server.tasks.style_transfer import StyleTransfer
from pellucid_server.types import (
    ANY,
    Array,
    Feeds,
    Image,
    Infer,
    Outputs,
    PictureFormat,
    Port,
    StyleTransferParameters,
    Task,
)

Parameters = StyleTransferParameters


def stylist(
    size: tuple[int, int] = (ANY, ANY),
    *,
    weights: tuple[int, ...] | None = None,
    style: tuple[int, int] | None = None,
    resize: Resize = Resize.NONE,
    multiple_of: int = 4,
    **decode: Any,
) -> StyleTransfer:
    inputs, roles = [Port("image", "f32", (1, 3, *size))], {}
    if weights:
        inputs.append(Port("weights", "f32", weights))
        roles["style_weights"] = "weights"
    if style:
        inputs.append(Port("style", "f32", (1, 3, *style)))
        roles["style_image"] = "style"
    spec = ModelSpec(
        task=Task.STYLE_TRANSFER,
        preprocess=Preprocess(resize=resize, multiple_of=multiple_of),
        inputs=roles,
        decode=decode,
    )
    return StyleTransfer(spec, inputs, [Port("out", "f32", (1, 3, ANY, ANY))])


class Watch:
    """A model that returns its image unchanged and keeps what it was fed."""

    def __init__(self) -> None:
        self.feeds: dict[str, Array] = {}

    def __call__(self, feeds: Feeds) -> Outputs:
        self.feeds = dict(feeds)
        assert feeds["image"].dtype == np.uint8
        return {"out": feeds["image"].transpose(0, 3, 1, 2).astype(np.float32) / 255}


def smooth(height: int, width: int) -> Image:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, y % 256, (x + y) // 3 % 256], axis=2).astype(np.uint8)


def gentle(height: int, width: int) -> Image:
    """No step of more than 1 between neighbours."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, y * 0], axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (1, 1), (3, 50)])
def test_the_result_has_the_inputs_size_and_the_padding_is_gone(size: tuple[int, int]) -> None:
    watch, image = Watch(), smooth(*size)
    result = stylist().predict(image, Parameters(), watch)
    assert all(extent % 4 == 0 for extent in watch.feeds["image"].shape[1:3])
    assert np.array_equal(result.image, image)


def test_a_large_image_is_shrunk_to_the_longest_side_and_enlarged_again() -> None:
    """The difference of 3 of 255 is that of shrinking to a third and enlarging again."""
    watch, image = Watch(), gentle(200, 301)
    result = stylist(max_side=100).predict(image, Parameters(), watch)
    assert watch.feeds["image"].shape == (1, 68, 100, 3)
    assert np.abs(result.image.astype(int) - image).max() <= 3


def test_the_default_cap_is_1024() -> None:
    watch = Watch()
    stylist().predict(gentle(1024, 600), Parameters(), watch)
    assert watch.feeds["image"].shape == (1, 1024, 600, 3)
    stylist().predict(gentle(1030, 515), Parameters(), watch)
    assert watch.feeds["image"].shape == (1, 1024, 512, 3)


@pytest.mark.parametrize("resize", [Resize.NONE, Resize.STRETCH, Resize.LETTERBOX])
def test_a_model_of_fixed_size_gets_that_size(resize: Resize) -> None:
    watch, image = Watch(), gentle(50, 90)
    result = stylist((128, 96), resize=resize).predict(image, Parameters(), watch)
    assert watch.feeds["image"].shape == (1, 128, 96, 3)
    assert result.image.shape == image.shape
    assert np.abs(result.image.astype(int) - image).max() <= 4


def test_the_first_style_is_the_default() -> None:
    watch = Watch()
    stylist(weights=(5,)).predict(gentle(8, 8), Parameters(), watch)
    assert watch.feeds["weights"].dtype == np.float32
    assert watch.feeds["weights"].tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (ANY, 5), (1, 1, 5)])
def test_a_style_is_chosen_by_index_in_the_ports_shape(shape: tuple[int, ...]) -> None:
    watch = Watch()
    stylist(weights=shape).predict(gentle(8, 8), Parameters(style_index=3), watch)
    assert watch.feeds["weights"].shape == tuple(map(abs, shape))
    assert watch.feeds["weights"].ravel().tolist() == [0, 0, 0, 1, 0]


def test_styles_are_mixed_by_weight() -> None:
    watch = Watch()
    parameters = Parameters(style_weights=(0.5, -0.25, 0.75))
    stylist(weights=(3,)).predict(gentle(8, 8), parameters, watch)
    assert watch.feeds["weights"].tolist() == [0.5, -0.25, 0.75]


def test_a_style_image_fills_its_input_with_its_middle() -> None:
    """The reference: the middle square by NumPy, shrunk by OpenCV."""
    watch, style = Watch(), gentle(100, 160)
    parameters = Parameters(style_image=style)
    stylist(style=(25, 25)).predict(gentle(8, 8), parameters, watch)
    expected = cv2.resize(style[:, 30:130], (25, 25), interpolation=cv2.INTER_AREA)
    assert watch.feeds["style"].dtype == np.uint8
    assert np.array_equal(watch.feeds["style"], expected[None])


def test_a_style_image_of_any_size_is_taken_as_it_is() -> None:
    watch, style = Watch(), gentle(30, 42)
    stylist(style=(ANY, ANY)).predict(gentle(8, 8), Parameters(style_image=style), watch)
    assert watch.feeds["style"].shape == (1, 32, 44, 3)
    assert np.array_equal(watch.feeds["style"][0, :30, :42], style)


STYLE = gentle(8, 8)
NAN = float("nan")


@pytest.mark.parametrize(
    ("model", "parameters", "field"),
    [
        (stylist(weights=(5,)), Parameters(style_index=5), "style_index"),
        (stylist(weights=(5,)), Parameters(style_index=-1), "style_index"),
        (stylist(weights=(5,)), Parameters(style_weights=(1, 0)), "style_weights"),
        (stylist(weights=(5,)), Parameters(style_weights=()), "style_weights"),
        (stylist(weights=(2,)), Parameters(style_weights=(1, NAN)), "style_weights"),
        (stylist(weights=(2,)), Parameters(style_weights=(1, 1e300)), "style_weights"),
        (stylist(weights=(5,)), Parameters(style_image=STYLE), "style_image"),
        (stylist(style=(8, 8)), Parameters(), "style_image"),
        (stylist(style=(8, 8)), Parameters(style_index=0), "style_index"),
        (stylist(style=(8, 8)), Parameters(style_weights=(1,)), "style_weights"),
        (stylist(), Parameters(style_index=1), "style_index"),
        (stylist(), Parameters(style_image=STYLE), "style_image"),
        (stylist(weights=(2,)), Parameters(1, (1, 0)), "style_weights"),
        (stylist(style=(8, 8)), Parameters(1, style_image=STYLE), "style_image"),
    ],
)
def test_a_style_that_does_not_fit_the_model_is_refused(
    model: StyleTransfer, parameters: Parameters, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        model.predict(gentle(8, 8), parameters, Watch())
    assert caught.value.field == f"style_transfer.{field}"


def test_a_model_of_one_style_takes_no_parameters() -> None:
    assert stylist().predict(STYLE, Parameters(style_index=0), Watch()).image.shape == STYLE.shape


def test_a_role_without_its_input_is_refused_with_the_nearest() -> None:
    spec = ModelSpec(task=Task.STYLE_TRANSFER, inputs={"style_weights": "weigths"})
    ports = [Port("image", "f32", (1, 3, 8, 8)), Port("weights", "f32", (5,))]
    with pytest.raises(InvalidInput, match="Did you mean 'weights'") as caught:
        StyleTransfer(spec, ports, [Port("out", "f32", (1, 3, 8, 8))])
    assert caught.value.field == "inputs.style_weights"


def test_crops_and_unknown_numbers_of_styles_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        stylist((8, 8), resize=Resize.CROP)
    assert caught.value.field == "preprocess.resize"
    with pytest.raises(InvalidInput) as caught:
        stylist(weights=(ANY,))
    assert caught.value.field == "inputs.style_weights"


def test_the_asked_format_is_kept() -> None:
    result = stylist().predict(STYLE, Parameters(format=PictureFormat.JPEG), Watch())
    assert result.format is PictureFormat.JPEG


Zoo = Callable[[str], tuple[TaskModel[Any, Any], Infer]]


def test_multistyle_paints_every_style_differently(
    zoo: Zoo, sample: Callable[[str], Image]
) -> None:
    model, infer = zoo("multistyle")
    image = sample("chelsea.png")[:150, :211]
    first = model.predict(image, Parameters(), infer).image
    assert first.shape == image.shape
    assert np.array_equal(first, model.predict(image, Parameters(style_index=0), infer).image)
    ninth = model.predict(image, Parameters(style_index=9), infer).image
    one_hot = tuple(float(index == 9) for index in range(26))
    again = model.predict(image, Parameters(style_weights=one_hot), infer).image
    assert np.array_equal(ninth, again)
    assert np.abs(first.astype(int) - ninth).mean() > 10
    assert np.abs(first.astype(int) - image).mean() > 10
    assert correlation(image, first) > 0.3


def test_arbitrary_style_follows_the_style_image(zoo: Zoo, sample: Callable[[str], Image]) -> None:
    """Blue and red styles push the picture towards blue and red."""
    model, infer = zoo("arbitrary-style")
    image = sample("coffee.png")
    noise = np.random.default_rng(3).integers(0, 60, (64, 96, 3), np.uint8)
    blue, red = noise.copy(), noise.copy()
    blue[..., 2] += 190
    red[..., 0] += 190
    bluish = model.predict(image, Parameters(style_image=blue), infer).image
    reddish = model.predict(image, Parameters(style_image=red), infer).image
    assert bluish.shape == image.shape
    assert bluish[..., 2].mean() > reddish[..., 2].mean() + 10
    assert reddish[..., 0].mean() > bluish[..., 0].mean() + 10


def correlation(one: Image, other: Image) -> float:
    return float(np.corrcoef(one.mean(2).ravel(), other.mean(2).ravel())[0, 1])
