from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks.regression import Regression
from pellucid_server.types import (
    Feeds,
    Image,
    Outputs,
    Port,
    RegressionParameters,
    RegressionResult,
    Task,
)

IMAGE = Port("image", "f32", (1, 3, 8, 8))
TABLE = Port("features", "f32", (-1, 3))
PICTURE: Image = np.zeros((20, 30, 3), np.uint8)


def regression(
    port: Port = IMAGE,
    *,
    shape: tuple[int, ...] = (1, 2),
    labels: tuple[str, ...] = (),
    **decode: Any,
) -> Regression:
    spec = ModelSpec(task=Task.REGRESSION, labels=labels, decode=decode)
    return Regression(spec, [port], [Port("values", "f32", shape)])


def predict(model: Regression, raw: Any) -> RegressionResult:
    def infer(feeds: Feeds) -> Outputs:
        assert feeds["image"].shape == (1, 8, 8, 3)
        return {"values": np.asarray(raw, np.float32)}

    return model.predict(PICTURE, RegressionParameters(), infer)


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1, 1), (-1, -1)])
def test_numbers_come_in_the_order_of_the_output(shape: tuple[int, ...]) -> None:
    raw = np.reshape([1.5, -2.5], np.abs(shape) if -1 not in shape else (1, 2))
    assert predict(regression(shape=shape), raw) == RegressionResult((1.5, -2.5))


@pytest.mark.parametrize("shape", [(1,), (1, 1), (-1,)])
def test_one_number_alone(shape: tuple[int, ...]) -> None:
    assert predict(regression(shape=shape), np.full(1, 3)).values == (3.0,)


def test_numbers_are_scaled_back() -> None:
    model = regression(mean=[10, 20], scale=2)
    assert predict(model, [[1, -1]]).values == (12, 18)


def test_a_row_of_a_table_is_fed_as_it_is() -> None:
    model = regression(TABLE)
    assert model.takes_features
    feeds = model.feeds((1, 2.5, -3))
    np.testing.assert_array_equal(feeds["features"], np.array([[1, 2.5, -3]], np.float32))
    assert feeds["features"].dtype == np.float32
    outputs = {"values": np.array([[1, 2]], np.float32)}
    assert model.read(outputs, None, RegressionParameters()) == RegressionResult((1, 2))


@pytest.mark.parametrize(("port", "message"), [(TABLE, "2 features.*takes 3"), (IMAGE, "images")])
def test_features_that_do_not_fit_are_refused(port: Port, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        regression(port).feeds((1, 2))
    assert caught.value.field == "inputs"


def test_a_model_of_tables_takes_no_image() -> None:
    with pytest.raises(InvalidInput, match="no image input"):
        regression(TABLE).prepare(PICTURE, RegressionParameters())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InferenceFailed, match="not finite"):
        predict(regression(), [[1, value]])


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"labels": ("price",)}, "labels"),
        ({"mean": [1, 2, 3]}, "decode.mean"),
        ({"scale": [1, 2, 3]}, "decode.scale"),
        ({"scale": []}, "decode.scale"),
        ({"mean": float("nan")}, "decode.mean"),
        ({"type": "softmax"}, "decode.type"),
        ({"output": "valuse"}, "decode.output"),
        ({"shape": ()}, "decode.output"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        regression(**settings)
    assert caught.value.field == field
