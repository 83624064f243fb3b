import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.spec import ModelSpec, Preprocess, image_input, image_layout, image_size
from pellucid_server.types import ANY, Port, Size

NCHW = Port("image", "FP32", (1, 3, 224, 256))
NHWC = Port("photo", "FP32", (1, 224, 256, 3))
FREE = Port("image", "FP32", (1, 3, ANY, ANY))
VECTOR = Port("weights", "FP32", (26,))


def test_the_image_input_is_the_first_of_four_dimensions() -> None:
    assert image_input(ModelSpec(), [VECTOR, NCHW, NHWC]) == NCHW


def test_an_input_with_a_role_is_not_the_image() -> None:
    assert image_input(ModelSpec(inputs={"mask": "image"}), [NCHW, NHWC]) == NHWC


def test_the_image_input_can_be_named() -> None:
    spec = ModelSpec(preprocess=Preprocess(input="photo"))
    assert image_input(spec, [NCHW, NHWC]) == NHWC


@pytest.mark.parametrize("name", [None, "picture"])
def test_a_missing_image_input_is_named_with_those_there_are(name: str | None) -> None:
    spec = ModelSpec(preprocess=Preprocess(input=name))
    with pytest.raises(InvalidInput, match=r"weights \[26\]") as caught:
        image_input(spec, [VECTOR])
    assert caught.value.field == "preprocess.input"


@pytest.mark.parametrize(
    ("port", "layout"),
    [
        (NCHW, "NCHW"),
        (NHWC, "NHWC"),
        (FREE, "NCHW"),
        (Port("a", "FP32", (1, ANY, ANY, 3)), "NHWC"),
        (Port("a", "FP32", (1, 3, 224, 3)), "NCHW"),
        (Port("a", "FP32", (1, 1, 28, 28)), "NCHW"),
    ],
)
def test_the_layout_is_guessed_from_the_channels(port: Port, layout: str) -> None:
    assert image_layout(ModelSpec(), port) == layout


def test_the_layout_can_be_given() -> None:
    assert image_layout(ModelSpec(preprocess=Preprocess(layout="NHWC")), NCHW) == "NHWC"


def test_the_size_is_that_of_the_input() -> None:
    assert image_size(ModelSpec(), NCHW) == image_size(ModelSpec(), NHWC) == Size(224, 256)
    assert image_size(ModelSpec(), FREE) is None


def test_the_size_can_be_given_where_the_input_is_free() -> None:
    assert image_size(ModelSpec(preprocess=Preprocess(size=(64, 96))), FREE) == Size(64, 96)


@pytest.mark.parametrize("alias", ["", ".hidden", "a/b", "a b", "ä", "a" * 129])
def test_aliases_are_names(alias: str) -> None:
    with pytest.raises(ValueError, match="aliases"):
        ModelSpec(aliases=(alias,))


def test_the_default_version_is_one_that_is_served() -> None:
    assert ModelSpec(default_version=3).default_version == 3
    with pytest.raises(ValueError, match="default_version 3 is not one of versions"):
        ModelSpec(versions=(1, 2), default_version=3)
