"""Results and explanations as values: what they say, and how they are shown."""

import numpy as np
import pytest
from PIL import Image

from pellucid import (
    Box,
    Category,
    ClassArea,
    ClassificationResult,
    Detection,
    DetectionResult,
    Explanation,
    ImageResult,
    Instance,
    InstanceSegmentationResult,
    RawResult,
    RegressionResult,
    SaliencyMap,
    SemanticSegmentationResult,
    Size,
)

EVIL = Category(3, "<script>alert(1)</script>", 0.5)
CAT = Category(1, "cat", 0.75)
BOX = Box(1, 2, 3, 4)


def explanation(region: Box, size: Size, *, overlay: bytes | None = None) -> Explanation:
    ramp = np.tile(np.arange(4, dtype=np.float32), (4, 1))
    return Explanation(
        target=EVIL,
        map=SaliencyMap(ramp, region),
        input_size=size,
        model="m",
        version="1",
        method="rise",
        parameters={"seed": 1},
        evaluations=9,
        precision="f32",
        elapsed=1.0,
        overlay_data=overlay,
    )


@pytest.mark.parametrize(
    "result",
    [
        ClassificationResult(categories=(EVIL,)),
        DetectionResult(detections=(Detection(BOX, EVIL),)),
        InstanceSegmentationResult(instances=(Instance(BOX, EVIL, np.ones((2, 2), bool)),)),
        SemanticSegmentationResult(
            label_map=np.zeros((2, 2), np.uint8), areas=(ClassArea(EVIL, 4, 1.0, (0, 0, 0)),)
        ),
        explanation(Box(0, 0, 4, 4), Size(4, 4), overlay=b"png"),
    ],
    ids=lambda result: type(result).__name__,
)
def test_labels_are_escaped_in_notebooks(
    result: ClassificationResult | DetectionResult | Explanation,
) -> None:
    html = result._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_representations_are_short_and_say_what_was_found() -> None:
    boxes = tuple(Detection(BOX, CAT) for _ in range(3))
    assert repr(DetectionResult(detections=boxes)) == "DetectionResult(3 cat)"
    assert repr(DetectionResult(detections=())) == "DetectionResult(nothing)"
    assert repr(boxes[0]) == "Detection(cat 0.750, Box(1, 2, 3, 4))"
    assert repr(ClassificationResult(categories=(CAT,))) == "ClassificationResult(cat 0.750)"
    assert repr(RegressionResult(values=(1.5, 2e6))) == "RegressionResult(1.5, 2e+06)"
    assert "1.5" in RegressionResult(values=(1.5,))._repr_html_()
    raw = RawResult(outputs={"y": np.zeros((1, 2), np.float32)})
    assert repr(raw) == "RawResult(y: float32 1x2)"


def test_a_class_without_label_has_a_name() -> None:
    assert Category(7, "", 0.5).name == "class 7"


def test_top_of_nothing_says_why() -> None:
    with pytest.raises(LookupError, match="min_confidence"):
        _ = ClassificationResult(categories=()).top


def test_pictures_are_pixels(scripted: object) -> None:
    data: bytes = scripted.png(8, 6)  # type: ignore[attr-defined]  # the module of helpers
    result = ImageResult(data=data, media_type="image/png", size=Size(8, 6))
    assert result.image.size == (8, 6)
    assert np.asarray(result).shape == (6, 8, 3)
    assert np.asarray(result, dtype=np.float32).dtype == np.float32
    assert result._repr_mimebundle_() == {"image/png": data}
    with pytest.raises(ValueError, match="copy"):
        result.__array__(copy=False)


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        CAT.label = "dog"  # type: ignore[misc]  # the point of the test


def test_a_map_over_the_whole_image_covers_it() -> None:
    placed = explanation(Box(0, 0, 8, 8), Size(8, 8)).on_image()
    assert placed.dtype == np.float32
    ramp = np.tile(np.arange(4, dtype=np.float32), (4, 1))
    whole = Image.fromarray(ramp).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(placed, np.asarray(whole))


def test_a_map_of_a_crop_leaves_the_rest_unknown() -> None:
    placed = explanation(Box(2, 1, 6, 5), Size(8, 6)).on_image()
    assert placed.shape == (6, 8)
    seen = np.zeros((6, 8), bool)
    seen[1:5, 2:6] = True
    np.testing.assert_array_equal(~np.isnan(placed), seen)
    np.testing.assert_array_equal(placed[1:5, 2:6], np.tile(np.arange(4), (4, 1)))


def test_a_map_beyond_the_image_is_cut() -> None:
    """A padded wide image: the map's rows outside of it are left out."""
    placed = explanation(Box(0, -1, 4, 3), Size(4, 2)).on_image()
    np.testing.assert_array_equal(placed, np.tile(np.arange(4), (2, 1)))


def test_a_map_beside_the_image_is_unknown_everywhere() -> None:
    assert np.isnan(explanation(Box(20, 0, 30, 10), Size(4, 4)).on_image()).all()


def test_an_explanation_without_overlay() -> None:
    plain = explanation(Box(0, 0, 4, 4), Size(4, 4))
    assert plain.overlay is None
    assert "<img" not in plain._repr_html_()
