from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from pellucid_server.evaluate.annotations import Labels, Sample, Values
from pellucid_server.evaluate.evaluator import BadAnnotation, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.types import RegressionResult, Task

REFERENCES = {
    "r2": metrics.r2_score,
    "mse": metrics.mean_squared_error,
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "msle": metrics.mean_squared_log_error,
}


@pytest.mark.parametrize("outputs", [1, 3])
def test_equal_to_scikit_learn(judge: Any, figures: Any, outputs: int) -> None:
    """To 1e-12, for each output and on average."""
    rng = np.random.default_rng(outputs)
    targets = rng.gamma(2, 50, (80, outputs))
    values = np.abs(targets + rng.normal(0, 9, targets.shape))
    pairs = [
        (Values(tuple(target.tolist())), RegressionResult(tuple(value.tolist())))
        for target, value in zip(targets, values, strict=True)
    ]
    rows, report = judge(Task.REGRESSION, pairs, Options(["price", "age"]), size=None)
    found = figures(report)
    for name, reference in REFERENCES.items():
        assert found.pop(name) == pytest.approx(reference(targets, values), rel=1e-12)
        each = reference(targets, values, multioutput="raw_values")
        for label, value in zip(("price", "age", "2")[:outputs], each, strict=True):
            if outputs > 1:
                assert found.pop(f"{name}.{label}") == pytest.approx(value, rel=1e-12)
    assert not found
    errors = np.sqrt(((targets - values) ** 2).mean(1))
    assert [row.score for row in rows] == pytest.approx((-errors).tolist())


def test_images_without_annotation_keep_their_numbers(judge: Any) -> None:
    (row,), report = judge(Task.REGRESSION, [(None, RegressionResult((1.5, 2.5)))])
    assert (row.detail, row.correct, report.metrics) == ({"values": [1.5, 2.5]}, None, ())


def test_a_metric_asked_for_comes_with_those_of_its_outputs(judge: Any, figures: Any) -> None:
    pairs = [(Values((1.0, 2.0)), RegressionResult((1.0, 4.0)))]
    _, report = judge(Task.REGRESSION, pairs, Options((), metrics=["mae"]))
    assert figures(report) == {"mae": 1, "mae.0": 0, "mae.1": 2}


@pytest.mark.parametrize(
    ("annotation", "values", "message"),
    [
        (Values((1.0, 2.0)), (1.0,), "2 numbers and the model gives 1"),
        (Values((1e200,)), (1.0,), "annotation says"),
        (Values((float("nan"),)), (1.0,), "annotation says nan"),
        (Values((1.0,)), (float("inf"),), "model says inf"),
        (Labels(("a",)), (1.0,), "no numbers"),
    ],
)
def test_annotations_that_do_not_fit(annotation: Any, values: Any, message: str) -> None:
    judge = evaluator(Task.REGRESSION, Options(()))
    sample = Sample("a.csv:1", annotation)
    with pytest.raises(BadAnnotation, match=message):
        judge.row(0, sample, RegressionResult(values), lambda _: np.zeros(0), None)
