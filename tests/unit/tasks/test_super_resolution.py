from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import TaskModel
from pellucid_server.tasks.super_resolution import SuperResolution
from pellucid_server.tasks.tiling import spans, tiled
from pellucid_server.types import (
    ANY,
    Array,
    Feeds,
    Image,
    Infer,
    Outputs,
    PictureFormat,
    Port,
    Size,
    SuperResolutionParameters,
    Task,
)

SCALE = 3


def enlarger(
    size: tuple[int, int] = (ANY, ANY), multiple_of: int = 1, **decode: Any
) -> SuperResolution:
    spec = ModelSpec(
        task=Task.SUPER_RESOLUTION,
        preprocess=Preprocess(resize=Resize.NONE, multiple_of=multiple_of),
        decode={"scale": SCALE, **decode},
    )
    outputs = [Port("sr", "f32", (1, 3, ANY, ANY))]
    return SuperResolution(spec, [Port("lr", "f32", (1, 3, *size))], outputs)


def photo(height: int, width: int) -> Image:
    noise = np.random.default_rng(9).integers(0, 256, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5), np.uint8)


def repeat(feeds: Feeds) -> Outputs:
    """A linear model without context: every pixel becomes 3 x 3 of 0.25 + 0.5 times it."""
    image = feeds["lr"]
    assert image.dtype == np.uint8
    values = (image.astype(np.float32) / 255 * 0.5 + 0.25).transpose(0, 3, 1, 2)
    return {"sr": values.repeat(SCALE, 2).repeat(SCALE, 3)}


def blur(feeds: Feeds) -> Outputs:
    """A linear model whose context, 4 pixels around, is less than half of an overlap of 16."""
    image = cv2.blur(feeds["lr"][0].astype(np.float32), (9, 9), borderType=cv2.BORDER_REPLICATE)
    return {"sr": image.repeat(SCALE, 0).repeat(SCALE, 1).transpose(2, 0, 1)[None] / 255}


def enlarge(
    model: SuperResolution, image: Image, infer: Infer, tile: int = 256, overlap: int = 16
) -> Image:
    return model.predict(image, SuperResolutionParameters(tile, overlap), infer).image


def difference(one: Array, other: Array) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("size", [(33, 40), (64, 64), (65, 32), (100, 150), (1, 200), (31, 97)])
@pytest.mark.parametrize("overlap", [0, 5, 15])
def test_tiles_of_a_linear_model_equal_the_whole(size: tuple[int, int], overlap: int) -> None:
    """To 1 of 255, which is rounding."""
    image = photo(*size)
    whole = enlarge(enlarger(), image, repeat, tile=256)
    assert whole.shape == (SCALE * size[0], SCALE * size[1], 3)
    assert difference(enlarge(enlarger(), image, repeat, tile=32, overlap=overlap), whole) <= 1


def test_tiles_fade_into_each_other_without_a_seam() -> None:
    """A model with context differs at a tile's border; faded it stays within 12 of 255.

    Beside a seam the step between neighbours is no larger than within the whole image.
    """
    image = photo(90, 150)
    whole = enlarge(enlarger(), image, blur)
    faded = enlarge(enlarger(), image, blur, tile=64, overlap=16)
    assert difference(faded, whole) <= 12
    steps = np.abs(np.diff(faded.astype(int), axis=1)).max()
    assert steps <= np.abs(np.diff(whole.astype(int), axis=1)).max() + 1


def test_an_image_no_larger_than_a_tile_is_run_once() -> None:
    sizes: list[tuple[int, ...]] = []

    def watch(feeds: Feeds) -> Outputs:
        sizes.append(feeds["lr"].shape)
        return repeat(feeds)

    enlarge(enlarger(), photo(64, 50), watch, tile=64)
    assert sizes == [(1, 64, 50, 3)]
    sizes.clear()
    enlarge(enlarger(), photo(64, 65), watch, tile=64)
    assert sizes == [(1, 64, 64, 3)] * 2


@pytest.mark.parametrize("size", [(10, 12), (40, 48), (41, 48), (97, 200)])
def test_a_model_of_fixed_size_gets_exactly_that_size(size: tuple[int, int]) -> None:
    def watch(feeds: Feeds) -> Outputs:
        assert feeds["lr"].shape == (1, 40, 48, 3)
        return repeat(feeds)

    image = photo(*size)
    enlarged = enlarge(enlarger((40, 48)), image, watch)
    assert difference(enlarged, enlarge(enlarger(), image, repeat)) <= 1


def test_tiles_are_padded_to_the_models_multiple_and_cut_again() -> None:
    def watch(feeds: Feeds) -> Outputs:
        assert all(extent % 16 == 0 for extent in feeds["lr"].shape[1:3])
        return repeat(feeds)

    image = photo(37, 75)
    assert (
        difference(
            enlarge(enlarger(multiple_of=16), image, watch, tile=40),
            enlarge(enlarger(), image, repeat),
        )
        <= 1
    )


@pytest.mark.parametrize(
    ("decode", "values"),
    [
        ({}, [0, 0.5, 1, 2]),
        ({"output_range": 255}, [0, 127.5, 255, 400]),
        ({"output_range": [-1, 1]}, [-1, 0, 1, 9]),
    ],
)
def test_the_output_range_is_black_to_white(decode: dict[str, Any], values: list[float]) -> None:
    plane = np.array([values], np.float32).repeat(3, 0).repeat(3, 1)

    def infer(_: Feeds) -> Outputs:
        return {"sr": np.stack([plane] * 3)[None]}

    enlarged = enlarge(enlarger(**decode), np.zeros((1, 4, 3), np.uint8), infer)
    assert enlarged[0, ::3, 0].tolist() == [0, 128, 255, 255]


@given(st.integers(1, 400), st.integers(32, 90), st.integers(0, 15))
def test_spans_cover_and_overlap(extent: int, tile: int, overlap: int) -> None:
    places = spans(extent, tile, overlap)
    assert places[0].start == 0
    assert places[-1].stop == extent
    assert all(place.stop - place.start == min(tile, extent) for place in places)
    for before, after in pairwise(places):
        assert before.start < after.start <= before.stop - overlap


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(8, 30), st.integers(0, 3))
def test_tiling_what_does_nothing_gives_the_image(
    height: int, width: int, tile: int, overlap: int
) -> None:
    image = np.random.default_rng(0).random((height, width, 2))
    stripes = tiled(image, Size(tile, tile + 3), overlap, 1, np.copy)
    assert np.allclose(np.concatenate(list(stripes)), image, atol=1e-6)


@pytest.mark.parametrize(
    ("tile", "overlap", "field"),
    [(31, 8, "tile_size"), (0, 8, "tile_size"), (64, 32, "tile_overlap"), (64, -1, "tile_overlap")],
)
def test_wrong_tiles_are_refused(tile: int, overlap: int, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        enlarge(enlarger(), photo(10, 10), repeat, tile, overlap)
    assert caught.value.field == f"super_resolution.{field}"


def test_the_overlap_is_checked_against_the_models_own_tile() -> None:
    with pytest.raises(InvalidInput, match="tile of 20") as caught:
        enlarge(enlarger((20, 30)), photo(50, 50), repeat, 256, 16)
    assert caught.value.field == "super_resolution.tile_overlap"


def test_a_wrong_scale_is_named() -> None:
    with pytest.raises(InferenceFailed, match=r"30 x 30 pixels of 10 x 10: decode\.scale 2"):
        enlarge(enlarger(scale=2), photo(10, 10), repeat)


def test_the_scale_must_be_set() -> None:
    spec = ModelSpec(task=Task.SUPER_RESOLUTION)
    with pytest.raises(InvalidInput, match="missing") as caught:
        SuperResolution(spec, [Port("lr", "f32", (1, 3, 8, 8))], [Port("sr", "f32", (1, 3, 8, 8))])
    assert caught.value.field == "decode.scale"


def test_an_output_that_is_no_picture_is_refused() -> None:
    spec = ModelSpec(task=Task.SUPER_RESOLUTION, decode={"scale": 2})
    for shape in ((1, 5, 8, 8), (1, 1000)):
        with pytest.raises(InvalidInput) as caught:
            SuperResolution(spec, [Port("lr", "f32", (1, 3, 8, 8))], [Port("sr", "f32", shape)])
        assert caught.value.field == "decode.output"


def test_values_that_are_not_finite_are_refused() -> None:
    def broken(_: Feeds) -> Outputs:
        return {"sr": np.full((1, 3, 30, 30), np.nan, np.float32)}

    with pytest.raises(InferenceFailed, match="not finite"):
        enlarge(enlarger(), photo(10, 10), broken)


def test_the_asked_format_is_kept() -> None:
    parameters = SuperResolutionParameters(format=PictureFormat.JPEG)
    assert enlarger().predict(photo(9, 9), parameters, repeat).format is PictureFormat.JPEG


def test_esrgan_tiled_equals_esrgan_whole(
    zoo: Callable[[str], tuple[TaskModel[Any, Any], Infer]], sample: Callable[[str], Image]
) -> None:
    """To 3 of 255, 0.1 on average; without overlap the seams reach 68."""
    model, infer = zoo("esrgan-slim")
    image = sample("chelsea.png")[60:220, 100:300]
    whole = model.predict(image, SuperResolutionParameters(256, 16), infer).image
    tiles = model.predict(image, SuperResolutionParameters(96, 16), infer).image
    assert whole.shape == (480, 600, 3)
    shrunk = cv2.resize(whole, (200, 160), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - image).mean() < 4
    assert difference(tiles, whole) <= 3
    assert np.abs(tiles.astype(int) - whole).mean() <= 0.1
