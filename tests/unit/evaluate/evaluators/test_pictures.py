"""Super-resolution, style transfer and inpainting."""

from typing import Any

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Holes, Picture, Sample, Values
from pellucid_server.evaluate.evaluator import BadAnnotation, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.types import ImageResult, Task

RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 256, (40, 30, 3)).astype(np.uint8)
MADE = [(WHOLE + RNG.normal(0, s, WHOLE.shape)).clip(0, 255).astype(np.uint8) for s in (3, 9, 40)]
INSIDE = np.zeros((40, 30), np.bool_)
INSIDE[10:20, 5:25] = True
FILES = {
    "whole.png": WHOLE,
    "gray.png": WHOLE[..., 0],
    "mask.png": np.repeat(INSIDE[..., None], 3, 2).astype(np.uint8) * 255,
    "values.png": INSIDE.astype(np.uint8),
}
LOAD = FILES.__getitem__


def similarity(one: Any, other: Any) -> float:
    return float(
        structural_similarity(
            one,
            other,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=2 if one.ndim == 3 else None,
        )
    )


@pytest.mark.parametrize("task", [Task.SUPER_RESOLUTION, Task.STYLE_TRANSFER])
@pytest.mark.parametrize("parameters", [{}, {"shave": "4"}, {"channel": "y"}])
def test_means_equal_scikit_image(
    judge: Any, figures: Any, task: Task, parameters: dict[str, str]
) -> None:
    """To 1e-12, without a border and of brightness alone too."""
    pairs = [(Picture("whole.png"), ImageResult(each)) for each in MADE]
    rows, report = judge(task, pairs, Options((), parameters=parameters), LOAD)

    def seen(picture: Any) -> Any:
        cut = int(parameters.get("shave", 0))
        picture = picture[cut : 40 - cut, cut : 30 - cut]
        return rgb2ycbcr(picture)[..., 0] if "channel" in parameters else picture

    ratios = [peak_signal_noise_ratio(seen(WHOLE), seen(m), data_range=255) for m in MADE]
    alike = [similarity(seen(WHOLE), seen(m)) for m in MADE]
    expected = {"psnr": np.mean(ratios), "ssim": np.mean(alike)}
    assert figures(report) == pytest.approx(expected, rel=1e-12)
    assert [row.score for row in rows] == pytest.approx(ratios, rel=1e-12)
    assert {each.name: each.unit for each in report.metrics} == {"psnr": "dB", "ssim": ""}
    assert sum(report.curves[0].counts) == 3


def test_holes_are_also_judged_alone(judge: Any, figures: Any) -> None:
    """To 1e-12."""
    made = np.where(INSIDE[..., None], MADE[1], WHOLE)
    pairs = [(Holes(mask, "whole.png"), ImageResult(made)) for mask in ("mask.png", "values.png")]
    _, report = judge(Task.INPAINTING, pairs, None, LOAD)
    expected = {
        "psnr": peak_signal_noise_ratio(WHOLE, made, data_range=255),
        "ssim": similarity(WHOLE, made),
        "psnr_holes": peak_signal_noise_ratio(WHOLE[INSIDE], made[INSIDE], data_range=255),
    }
    assert figures(report) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mask", ["mask.png", "values.png"])
def test_a_model_is_asked_to_fill_the_holes(mask: str) -> None:
    judge = evaluator(Task.INPAINTING, Options(()))
    found = judge.parameters_for(Sample("a.png", Holes(mask, "whole.png")), LOAD)
    np.testing.assert_array_equal(found.mask, INSIDE)
    with pytest.raises(BadAnnotation, match="where the holes are"):
        judge.parameters_for(Sample("a.png"), LOAD)


def test_other_tasks_ask_the_same_of_every_image() -> None:
    judge = evaluator(Task.SUPER_RESOLUTION, Options(()))
    assert judge.parameters_for(Sample("a.png"), LOAD) == judge.parameters()


def test_equal_pictures_have_a_finite_ratio(judge: Any, figures: Any) -> None:
    pairs = [(Picture("whole.png"), ImageResult(WHOLE))]
    _, report = judge(Task.SUPER_RESOLUTION, pairs, None, LOAD)
    assert figures(report) == {"psnr": 100, "ssim": 1}


def test_a_grey_picture_is_one_of_equal_channels(judge: Any, figures: Any) -> None:
    made = np.repeat(WHOLE[..., :1], 3, axis=2)
    pairs = [(Picture("gray.png"), ImageResult(made))]
    _, report = judge(Task.SUPER_RESOLUTION, pairs, Options((), metrics=["psnr"]), LOAD)
    assert figures(report) == {"psnr": 100}


def test_images_without_annotation_have_no_figures(judge: Any) -> None:
    (row,), report = judge(Task.STYLE_TRANSFER, [(None, ImageResult(WHOLE))])
    assert (row.score, report.metrics, report.curves) == (None, (), ())


@pytest.mark.parametrize(
    ("task", "annotation", "made", "message"),
    [
        (Task.SUPER_RESOLUTION, Picture("whole.png"), WHOLE[:39], "30 x 40.*30 x 39"),
        (Task.SUPER_RESOLUTION, Values((1.0,)), WHOLE, "no picture"),
        (Task.INPAINTING, Picture("whole.png"), WHOLE, "where the holes are"),
        (Task.INPAINTING, Holes("mask.png", "small.png"), WHOLE[:20], "mask of the holes"),
    ],
)
def test_annotations_that_do_not_fit(task: Task, annotation: Any, made: Any, message: str) -> None:
    files = FILES | {"small.png": WHOLE[:20]}
    sample, judge = Sample("a.png", annotation), evaluator(task, Options(()))
    with pytest.raises(BadAnnotation, match=message):
        judge.row(0, sample, ImageResult(made), files.__getitem__, None)


def test_a_border_as_large_as_the_picture_leaves_nothing() -> None:
    judge = evaluator(Task.SUPER_RESOLUTION, Options((), parameters={"shave": "15"}))
    sample = Sample("a.png", Picture("whole.png"))
    with pytest.raises(BadAnnotation, match="nothing is left"):
        judge.row(0, sample, ImageResult(WHOLE), LOAD, None)


@pytest.mark.parametrize(("name", "text"), [("shave", "-1"), ("channel", "cb")])
def test_wrong_parameters_are_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        evaluator(Task.STYLE_TRANSFER, Options((), parameters={name: text}))
    assert caught.value.field == f"parameters[{name}]"
