from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.tasks import TaskModel
from pellucid_server.tasks.classification import Classification
from pellucid_server.types import (
    ClassificationParameters,
    ClassificationResult,
    Feeds,
    Image,
    Infer,
    Outputs,
    Port,
    Task,
)

IMAGE = Port("image", "f32", (1, 3, 8, 8))
PICTURE: Image = np.zeros((20, 30, 3), np.uint8)


def classifier(
    classes: int = 4, *, labels: tuple[str, ...] = (), shape: tuple[int, ...] = (), **decode: Any
) -> Classification:
    spec = ModelSpec(task=Task.CLASSIFICATION, labels=labels, decode=decode)
    return Classification(spec, [IMAGE], [Port("scores", "f32", shape or (1, classes))])


def classify(
    model: Classification, raw: Any, parameters: ClassificationParameters | None = None
) -> ClassificationResult:
    def infer(feeds: Feeds) -> Outputs:
        assert feeds["image"].shape == (1, 8, 8, 3)
        assert feeds["image"].dtype == np.uint8
        return {"scores": np.asarray(raw, np.float32)}

    return model.predict(PICTURE, parameters or ClassificationParameters(), infer)


def test_softmax_gives_probabilities_highest_first() -> None:
    labels = ("a", "b", "c", "d")
    result = classify(classifier(labels=labels), [np.log([0.1, 0.6, 0.05, 0.25])])
    assert [each.label for each in result.categories] == ["b", "d", "a", "c"]
    assert [each.class_id for each in result.categories] == [1, 3, 0, 2]
    confidences = [each.confidence for each in result.categories]
    assert np.allclose(confidences, [0.6, 0.25, 0.1, 0.05], atol=1e-7)
    assert not result.multi_label


def test_sigmoid_gives_independent_confidences() -> None:
    result = classify(classifier(type="sigmoid"), [[0, np.log(3), -np.log(3), 500]])
    assert [each.class_id for each in result.categories] == [3, 1, 0, 2]
    confidences = [each.confidence for each in result.categories]
    assert np.allclose(confidences, [1, 0.75, 0.5, 0.25], atol=1e-7)
    assert result.multi_label


def test_probabilities_are_taken_as_they_are() -> None:
    result = classify(classifier(type="probabilities", multi_label=True), [[0.5, 0.25, 0.125, 0]])
    assert [each.confidence for each in result.categories] == [0.5, 0.25, 0.125, 0]
    assert result.multi_label


def test_logits_read_as_probabilities_are_refused() -> None:
    with pytest.raises(InferenceFailed, match=r"decode\.type"):
        classify(classifier(type="probabilities"), [[5, 1, -3, 0]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InferenceFailed, match="not finite"):
        classify(classifier(), [[0, value, 1, 2]])


@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 1, 1), (1, 1, 1, 4), (-1, 4)])
def test_dimensions_of_one_do_not_matter(shape: tuple[int, ...]) -> None:
    raw = np.array([0.1, 0.2, 0.3, 0.4]).reshape(np.abs(shape))
    result = classify(classifier(shape=shape, labels=("a", "b", "c", "d")), raw)
    assert [each.class_id for each in result.categories] == [3, 2, 1, 0]


def test_a_single_class_is_a_sigmoid() -> None:
    result = classify(classifier(1, type="sigmoid"), [[0]])
    assert [each.confidence for each in result.categories] == [0.5]


def test_top_k_and_min_confidence_choose() -> None:
    raw = [np.log([0.1, 0.6, 0.05, 0.25])]
    chosen = classify(classifier(), raw, ClassificationParameters(top_k=2))
    assert [each.class_id for each in chosen.categories] == [1, 3]
    chosen = classify(classifier(), raw, ClassificationParameters(-1, min_confidence=0.09))
    assert [each.class_id for each in chosen.categories] == [1, 3, 0]
    chosen = classify(classifier(), raw, ClassificationParameters(99))
    assert len(chosen.categories) == 4


def test_equal_confidences_stay_in_the_order_of_classes() -> None:
    assert [c.class_id for c in classify(classifier(), [[1, 1, 1, 1]]).categories] == [0, 1, 2, 3]


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    st.integers(0, 45),
)
def test_the_best_are_those_of_a_sort_of_all(raw: np.ndarray[Any, Any], top_k: int) -> None:
    """Also where many are equal."""
    model = classifier(len(raw), type="probabilities")
    found = classify(model, [raw], ClassificationParameters(top_k)).categories
    assert [each.class_id for each in found] == sorted(range(len(raw)), key=lambda i: -raw[i])[
        :top_k
    ]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (ClassificationParameters(top_k=-2), "top_k"),
        (ClassificationParameters(min_confidence=-0.1), "min_confidence"),
        (ClassificationParameters(min_confidence=1.5), "min_confidence"),
        (ClassificationParameters(min_confidence=float("nan")), "min_confidence"),
    ],
)
def test_wrong_parameters_are_refused(parameters: ClassificationParameters, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        classify(classifier(), [[0, 0, 0, 0]], parameters)
    assert caught.value.field == f"classification.{field}"


def test_too_few_or_too_many_labels_are_refused_with_both_numbers() -> None:
    for labels in (("a", "b", "c"), ("a", "b", "c", "d", "e")):
        with pytest.raises(InvalidInput, match=f"{len(labels)} labels.*4 classes") as caught:
            classifier(labels=labels)
        assert caught.value.field == "labels"


@pytest.mark.parametrize("shape", [(1, 4, 7, 7), (4,), (1, 2, 3)])
def test_an_output_that_is_no_list_of_classes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        classifier(shape=shape)
    assert caught.value.field == "decode.output"


@given(arrays(np.float32, (3, 5), elements=st.floats(-1e4, 1e4, width=32)))
def test_scores_are_a_softmax_of_every_row(raw: np.ndarray[Any, Any]) -> None:
    """Against the textbook formula in extended precision, to 1e-12."""
    scores = classifier(5).scores({"scores": raw})
    exact = np.asarray(raw, np.longdouble)
    exact = np.exp(exact - exact.max(1, keepdims=True))
    assert scores.shape == (3, 5)
    assert np.abs(scores - exact / exact.sum(1, keepdims=True)).max() <= 1e-12


def test_crop_is_allowed() -> None:
    spec = ModelSpec(task=Task.CLASSIFICATION, preprocess=Preprocess(resize=Resize.CROP))
    model = Classification(spec, [IMAGE], [Port("scores", "f32", (1, 4))])
    assert model.prepare(PICTURE, ClassificationParameters()).frame.region.x_min == 5


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("chelsea.png", {"tabby", "tabby cat", "Egyptian cat", "tiger cat"}),
        ("coffee.png", {"espresso", "cup", "coffee mug"}),
        ("rocket.jpg", {"missile", "projectile", "space shuttle"}),
    ],
)
def test_efficientnet_knows_the_samples(
    file: str,
    expected: set[str],
    zoo: Callable[[str], tuple[TaskModel[Any, Any], Infer]],
    sample: Callable[[str], Image],
) -> None:
    model, infer = zoo("efficientnet-lite0")
    result = model.predict(sample(file), ClassificationParameters(top_k=-1), infer)
    assert result.categories[0].label in expected, result.categories[:5]
    assert len(result.categories) == 1000
    assert abs(sum(each.confidence for each in result.categories) - 1) <= 1e-9
