"""Every task on the zoo's real models, through the real client."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pellucid

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def pixels(photo: str) -> np.ndarray:
    return np.asarray(Image.open(SAMPLES / photo).convert("RGB"))


def overlap(box: pellucid.Box, other: tuple[float, float, float, float]) -> float:
    """Intersection over union."""
    width = min(box.x_max, other[2]) - max(box.x_min, other[0])
    height = min(box.y_max, other[3]) - max(box.y_min, other[1])
    inside = max(0, width) * max(0, height)
    areas = (box.x_max - box.x_min) * (box.y_max - box.y_min)
    return inside / (areas + (other[2] - other[0]) * (other[3] - other[1]) - inside)


@pytest.mark.parametrize(
    ("photo", "label"),
    [("coffee.png", "espresso"), ("chelsea.png", "tiger cat"), ("rocket.jpg", "missile")],
)
def test_classification_names_what_the_photo_shows(
    client: pellucid.Client, photo: str, label: str
) -> None:
    result = client.predict(SAMPLES / photo, model="efficientnet-lite0")
    assert isinstance(result, pellucid.ClassificationResult)
    assert result.top.label == label
    assert len(result.categories) == 5
    confidences = [category.confidence for category in result.categories]
    assert confidences == sorted(confidences, reverse=True)


def test_all_classes_sum_to_one(client: pellucid.Client) -> None:
    result = client.predict(SAMPLES / "coffee.png", model="efficientnet-lite0", top_k=-1)
    assert isinstance(result, pellucid.ClassificationResult)
    assert len(result.categories) == 1000
    assert sum(category.confidence for category in result.categories) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("photo", "label", "box"),
    [
        ("coffee.png", "cup", (170, 22, 413, 268)),
        ("astronaut.png", "person", (14, 14, 364, 507)),
        ("chelsea.png", "cat", (1, 0, 440, 295)),
    ],
)
def test_detection_finds_objects_where_they_are(
    client: pellucid.Client, photo: str, label: str, box: tuple[float, float, float, float]
) -> None:
    """The box overlaps the one drawn by eye by more than 0.75, in pixels of the photo."""
    found = client.predict(SAMPLES / photo, model="nanodet", confidence_threshold=0.25)
    assert isinstance(found, pellucid.DetectionResult)
    assert max(overlap(each.box, box) for each in found.detections if each.label == label) > 0.75


def test_detection_keeps_to_the_labels_asked_for(client: pellucid.Client) -> None:
    found = client.predict(
        SAMPLES / "coffee.png", model="nanodet", confidence_threshold=0.2, labels=["cup"]
    )
    assert isinstance(found, pellucid.DetectionResult)
    assert [each.label for each in found.detections] == ["cup"]


def test_semantic_segmentation_covers_the_person(client: pellucid.Client) -> None:
    """The label map has the photo's size; the face is person, the upper right corner is not."""
    result = client.predict(SAMPLES / "astronaut.png", model="selfie-segmentation")
    assert isinstance(result, pellucid.SemanticSegmentationResult)
    assert result.label_map.shape == (512, 512)
    assert result.label_map[110, 220] == 1
    assert result.label_map[20, 490] == 0
    assert sum(area.pixels for area in result.areas) == 512 * 512


def test_super_resolution_keeps_the_picture(client: pellucid.Client) -> None:
    """Three times the size; shrunk again it is the photo, to 30 dB."""
    photo = Image.open(SAMPLES / "chelsea.png").convert("RGB").resize((150, 100))
    result = client.predict(photo, model="esrgan-slim")
    assert isinstance(result, pellucid.ImageResult)
    assert result.image.size == (450, 300)
    shrunk = np.asarray(result.image.resize((150, 100), Image.Resampling.BOX), float)
    error = ((shrunk - np.asarray(photo, float)) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 30


def test_large_images_are_enlarged_in_tiles_without_seams(client: pellucid.Client) -> None:
    """Tiles of 96 with overlap give the picture of one run to 3/255 everywhere."""
    photo = Image.open(SAMPLES / "chelsea.png").convert("RGB").resize((200, 140))
    whole = np.asarray(client.predict(photo, model="esrgan-slim"), float)
    tiled = np.asarray(client.predict(photo, model="esrgan-slim", tile_size=96), float)
    assert np.abs(whole - tiled).max() <= 3


def test_style_transfer_paints_at_the_photos_size(client: pellucid.Client) -> None:
    """Styles differ from the photo and from one another; any aspect keeps its size."""
    styles = [
        np.asarray(client.predict(SAMPLES / "chelsea.png", model="multistyle", style_index=index))
        for index in (0, 8)
    ]
    assert all(style.shape == (300, 451, 3) for style in styles)
    assert np.abs(styles[0].astype(float) - styles[1]).mean() > 20
    assert np.abs(styles[0].astype(float) - pixels("chelsea.png")).mean() > 20


def test_style_of_another_image_brings_its_colours(client: pellucid.Client) -> None:
    """Painted like the reddish coffee photo the astronaut gets redder, like the rocket bluer."""

    def redness(style: str) -> float:
        styled = client.predict(
            SAMPLES / "astronaut.png", model="arbitrary-style", style_image=SAMPLES / style
        )
        mean = np.asarray(styled).reshape(-1, 3).mean(0)
        return float(mean[0] - mean[2])

    assert redness("coffee.png") > redness("rocket.jpg") + 50


def test_inpainting_fills_the_hole_and_nothing_else(client: pellucid.Client) -> None:
    """The mast is gone; every pixel outside the hole is the photo's."""
    hole = (178, 112, 214, 262)
    filled = np.asarray(
        client.predict(SAMPLES / "rocket.jpg", model="push-pull", rectangles=[hole])
    )
    photo = pixels("rocket.jpg")
    inside = np.zeros(photo.shape[:2], bool)
    inside[hole[1] : hole[3], hole[0] : hole[2]] = True
    assert np.array_equal(filled[~inside], photo[~inside])
    column = filled[130:250, 196].astype(float)
    assert np.abs(np.diff(column, axis=0)).max() < 12  # no lattice left
    by_mask = client.predict(
        SAMPLES / "rocket.jpg", model="push-pull", mask=Image.fromarray(inside)
    )
    assert np.array_equal(np.asarray(by_mask), filled)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16", "1"])
def test_every_colour_mode_is_read(client: pellucid.Client, mode: str) -> None:
    """Grey, alpha, palette, CMYK and 16-bit photos of a cup are cups."""
    photo = Image.open(SAMPLES / "coffee.png").convert("RGB")
    if mode == "I;16":
        grey = np.asarray(photo.convert("L")).astype(np.uint16) * 257
        converted = Image.fromarray(grey)
    else:
        converted = photo.convert(mode)
    buffer = io.BytesIO()
    converted.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    result = client.predict(buffer.getvalue(), model="efficientnet-lite0", top_k=3)
    assert isinstance(result, pellucid.ClassificationResult)
    names = {category.label for category in result.categories}
    assert names & {"espresso", "tea cup", "coffeemaker", "soup bowl"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_lie_on_the_upright_image(client: pellucid.Client, orientation: int) -> None:
    """However the camera was held, boxes and size are those of what a viewer shows."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    photo = Image.open(SAMPLES / "coffee.png").convert("RGB")
    stored = photo.transpose(turns[orientation]) if orientation in turns else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    result = client.predict(buffer.getvalue(), model="nanodet", confidence_threshold=0.2)
    assert isinstance(result, pellucid.DetectionResult)
    assert result.input_size == (600, 400)
    cups = [each.box for each in result.detections if each.label == "cup"]
    assert max(overlap(box, (170, 22, 413, 268)) for box in cups) > 0.75


def test_many_images_come_back_in_order(client: pellucid.Client) -> None:
    photos = [SAMPLES / name for name in ("coffee.png", "chelsea.png", "rocket.jpg")] * 3
    results = client.predict(photos, model="efficientnet-lite0", top_k=1)
    assert isinstance(results, list)
    tops = [result.top.label for result in results]  # type: ignore[union-attr]  # classifications
    assert tops == ["espresso", "tiger cat", "missile"] * 3
    streamed = client.predict_many(photos, model="efficientnet-lite0", ordered=True)
    assert [outcome.result.top.label for outcome in streamed] == tops  # type: ignore[union-attr]  # as above


def test_a_uri_under_a_root_is_read(client: pellucid.Client) -> None:
    result = client.predict(pellucid.Uri("coffee.png"), model="efficientnet-lite0")
    assert isinstance(result, pellucid.ClassificationResult)
    assert result.top.label == "espresso"


def test_tensors_give_the_raw_outputs(client: pellucid.Client) -> None:
    """The model's own inputs, without preprocessing, give its own outputs."""
    image = np.zeros((1, 3, 224, 224), np.float32)
    result = client.predict({"image": image}, model="efficientnet-lite0")
    assert isinstance(result, pellucid.RawResult)
    assert result["logits"].shape == (1, 1000)
