from typing import Any

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.types import Array, Size

SIZE = Size(320, 640)
BOXES = [[100, 50, 140, 110], [300, 200, 620, 300]]
CENTERS = [[120, 80, 40, 60], [460, 250, 320, 100]]
SCORES = [[0.1, 0.9, 0.2], [0.8, 0.05, 0.3]]
COEFFICIENTS = np.random.default_rng(5).normal(size=(2, 32)).astype(np.float32)
PROTOTYPES = np.random.default_rng(6).normal(size=(1, 32, 80, 160)).astype(np.float32)


def v8() -> Array:
    rows = np.zeros((1, 4200, 4 + 3 + 32), np.float32)
    rows[..., :4] = [5, 5, 4, 4]
    rows[0, [10, 77]] = np.concatenate([CENTERS, SCORES, COEFFICIENTS], axis=1)
    return rows.transpose(0, 2, 1)


def v5() -> Array:
    rows = v8().transpose(0, 2, 1)
    return np.insert(rows, 4, 1, axis=2)


def v26() -> Array:
    rows = np.zeros((1, 300, 6 + 32), np.float32)
    rows[0, :2] = np.concatenate([BOXES, [[0.9, 1], [0.8, 0]], COEFFICIENTS], axis=1)
    return rows


@pytest.mark.parametrize(
    ("output", "given"),
    [(v8(), {}), (v8(), {"labels": 3}), (v5(), {"labels": 3}), (v5(), {"version": "v5"})],
)
def test_coefficients_come_after_the_classes(
    bind: Any, output: Array, given: dict[str, Any]
) -> None:
    outputs = {"output0": output, "output1": PROTOTYPES}
    found = bind("yolo_seg", outputs, **given).candidates(outputs, SIZE).take(np.array([10, 77]))
    np.testing.assert_array_equal(found.boxes, BOXES)
    np.testing.assert_array_equal(found.scores, np.array(SCORES, np.float32))
    check(found)


@pytest.mark.parametrize("given", [{"labels": 3}, {"version": "v26"}])
def test_end_to_end(bind: Any, given: dict[str, Any]) -> None:
    outputs = {"output1": PROTOTYPES, "output0": v26()}
    found = bind("yolo_seg", outputs, **given).candidates(outputs, SIZE)
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert found.class_ids.tolist() == [1, 0]
    check(found)


def check(found: Any) -> None:
    np.testing.assert_array_equal([found.masks.at(0), found.masks.at(1)], COEFFICIENTS)
    mixed = 1 / (1 + np.exp(-np.einsum("nk,kyx->nyx", COEFFICIENTS, PROTOTYPES[0])))
    np.testing.assert_allclose(found.masks.map(1), mixed[1], rtol=0, atol=1e-5)


def test_outputs_without_prototypes_are_refused(bind: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        bind("yolo_seg", {"output0": v8()})
    assert caught.value.field == "decode.outputs.prototypes"


def test_an_unknown_number_of_prototypes_is_refused(bind: Any) -> None:
    decoder = bind("yolo_seg", {"output0": v8(), "output1": PROTOTYPES}, free=True)
    with pytest.raises(InvalidInput, match="fixed channels") as caught:
        _ = decoder.extra
    assert caught.value.field == "decode.outputs.prototypes"
