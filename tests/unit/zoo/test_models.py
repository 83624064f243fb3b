"""Every model compiles, and is what its model.yaml says."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest

from pellucid_server.spec import ModelSpec, Resize, image_input, image_layout
from pellucid_server.types import ANY, Port, Task

CLASS_DIMENSIONS = {
    "efficientnet-lite0": ("logits", 1000),
    "nanodet": ("scores_8", 80),
}


def ports(entry: Any) -> list[Port]:
    return [
        Port(name, "f32", tuple(ANY if side.is_dynamic else side.get_length() for side in shape))
        for name, shape in entry.inputs.items()
    ]


def read_photo(path: Path) -> Any:
    image = cv2.imread(str(path))
    assert image is not None
    return image[..., ::-1]


def preprocess(spec: ModelSpec, image: Any, height: int, width: int) -> Any:
    """What model.yaml says for crop and stretch, written anew."""
    settings = spec.preprocess
    if settings.resize is Resize.CROP:
        side = round(min(image.shape[:2]) * settings.crop_fraction)
        top, left = ((extent - side) // 2 for extent in image.shape[:2])
        image = image[top : top + side, left : left + side]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return (resized.astype(np.float32) - settings.mean) / settings.scale


def test_the_image_input_is_found_and_its_layout_is_right(entry: Any) -> None:
    port = image_input(entry.spec, ports(entry))
    assert port.shape[1 if image_layout(entry.spec, port) == "NCHW" else 3] == 3


def test_every_role_names_an_input_and_every_input_has_a_role(entry: Any) -> None:
    spec = entry.spec
    image = image_input(spec, ports(entry)).name
    assert {image, *spec.inputs.values()} == set(entry.inputs)


def test_the_named_output_exists(entry: Any) -> None:
    named = entry.spec.decode.get("output")
    assert named is None or named in entry.outputs


def test_the_target_layer_exists(entry: Any) -> None:
    wanted = entry.spec.target_layer
    if wanted is not None:
        graph = ov.Core().read_model(entry.file)
        assert wanted in {node.get_friendly_name() for node in graph.get_ops()}


@pytest.mark.parametrize(("name", "expected"), CLASS_DIMENSIONS.items())
def test_there_are_as_many_labels_as_classes(
    models: dict[str, Any], name: str, expected: tuple[str, int]
) -> None:
    output, classes = expected
    assert len(models[name].spec.labels) == models[name].outputs[output][-1].get_length() == classes


def test_labels_are_unique_and_clean(entry: Any) -> None:
    labels = entry.spec.labels
    assert len(set(labels)) == len(labels)
    assert [label for label in labels if not label or label != label.strip()] == []


def test_a_binary_model_has_two_labels(models: dict[str, Any]) -> None:
    spec = models["selfie-segmentation"].spec
    assert spec.task is Task.SEMANTIC_SEGMENTATION
    assert spec.labels == ("background", "person")


@pytest.mark.parametrize(
    ("photo", "expected"),
    [("coffee.png", {967}), ("chelsea.png", {281, 282, 285}), ("rocket.jpg", {657, 744, 812})],
)
def test_efficientnet_sees_what_is_there(
    models: dict[str, Any], samples: Path, photo: str, expected: set[int]
) -> None:
    """Espresso, one of the striped cats, and a missile, projectile or space shuttle."""
    entry = models["efficientnet-lite0"]
    image = read_photo(samples / photo)
    pixels = preprocess(entry.spec, image, 224, 224).transpose(2, 0, 1)[None]
    assert int(entry.compiled(pixels)["logits"].argmax()) in expected


def test_labels_stand_in_the_order_of_the_outputs(models: dict[str, Any]) -> None:
    labels = models["efficientnet-lite0"].spec.labels
    assert (labels[0], labels[282], labels[657], labels[967], labels[999]) == (
        "tench",
        "tiger cat",
        "missile",
        "espresso",
        "toilet paper",
    )


def test_nanodet_finds_the_astronaut(models: dict[str, Any], samples: Path) -> None:
    entry = models["nanodet"]
    image = read_photo(samples / "astronaut.png")[..., ::-1]
    pixels = preprocess(entry.spec, image, 416, 416).transpose(2, 0, 1)[None]
    outputs = entry.compiled(pixels.astype(np.float32))
    scores = np.concatenate([outputs[f"scores_{stride}"][0] for stride in (8, 16, 32)])
    assert scores[:, entry.spec.labels.index("person")].max() > 0.7


def test_push_pull_fills_only_the_hole(models: dict[str, Any]) -> None:
    """A constant picture is filled with its colour; what is outside stays (within 1e-6)."""
    picture = np.random.default_rng(0).random((1, 3, 512, 512), np.float32)
    mask = np.zeros((1, 1, 512, 512), np.float32)
    mask[..., 100:300, 50:250] = 1
    compiled = models["push-pull"].compiled
    filled = compiled({"image": picture, "mask": mask})["inpainted"]
    assert np.abs((filled - picture) * (1 - mask)).max() < 1e-6
    plain = compiled({"image": np.full_like(picture, 0.25), "mask": mask})["inpainted"]
    assert np.abs(plain - 0.25).max() < 1e-3


def test_what_is_in_the_hole_does_not_matter(models: dict[str, Any]) -> None:
    picture = np.random.default_rng(0).random((1, 3, 512, 512), np.float32)
    mask = np.zeros((1, 1, 512, 512), np.float32)
    mask[..., 200:300, 200:300] = 1
    compiled = models["push-pull"].compiled
    full, holed = (
        compiled({"image": image, "mask": mask})["inpainted"].copy()
        for image in (picture, picture * (1 - mask))
    )
    np.testing.assert_array_equal(full, holed)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (100, 60)])
def test_arbitrary_style_takes_any_content(models: dict[str, Any], height: int, width: int) -> None:
    generator = np.random.default_rng(0)
    content = generator.random((1, height, width, 3), np.float32)
    style = generator.random((1, 256, 256, 3), np.float32)
    stylized = models["arbitrary-style"].compiled({"content": content, "style": style})["stylized"]
    assert stylized.shape == content.shape
    assert stylized.min() >= 0
    assert stylized.max() <= 1


def test_esrgan_triples_the_size(models: dict[str, Any], samples: Path) -> None:
    """A photo comes back three times as large, and shrunk again within 6 of 255 in the mean."""
    photo = cv2.resize(read_photo(samples / "chelsea.png"), (90, 60))
    pixels = np.ascontiguousarray(photo.transpose(2, 0, 1)[None].astype(np.float32))
    enlarged = models["esrgan-slim"].compiled(pixels)["sr"][0].transpose(1, 2, 0)
    assert enlarged.shape == (180, 270, 3)
    shrunk = cv2.resize(enlarged, (90, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - photo).mean() < 6
