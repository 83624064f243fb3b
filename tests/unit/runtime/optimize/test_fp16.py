"""Versions with weights of FP16."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.runtime.lineage import Optimization, read_lineage
from pellucid_server.runtime.optimize.plan import Plan, Progress, Stage

if TYPE_CHECKING:
    from tests.unit.runtime.optimize.conftest import Workplace

EXACTLY = {"INFERENCE_PRECISION_HINT": "f32"}
Make = Callable[..., ov.Model]


@pytest.fixture(scope="module")
def compressed(
    workplaces: "Callable[[], Workplace]", graph: Make
) -> tuple["Workplace", list[Progress]]:
    place = workplaces()
    _, progress = place.run(place.serve(graph()), Plan(Optimization.FP16))
    place.models.load("tiny", "2")
    return place, progress


def test_weights_halve_and_scores_stay(compressed: tuple["Workplace", list[Progress]]) -> None:
    """To 1 in 500: FP16 has 11 bits."""
    place, progress = compressed
    assert progress == [Progress(Stage.SAVE, 0, 1), Progress(Stage.SAVE, 1, 1)]
    sizes = [(place.root / "tiny" / each / "model.bin").stat().st_size for each in ("1", "2")]
    assert sizes[1] < 0.6 * sizes[0]
    image = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    before, after = (
        ov.Core().compile_model(place.models.get("tiny", each).graph, "CPU", EXACTLY)(image)[0]
        for each in ("1", "2")
    )
    np.testing.assert_allclose(after, before, rtol=2e-3)


def test_the_lineage_has_no_calibration(compressed: tuple["Workplace", list[Progress]]) -> None:
    lineage = read_lineage(compressed[0].root / "tiny" / "2")
    assert lineage
    assert lineage.optimization is Optimization.FP16
    assert (lineage.dataset_digest, lineage.settings) == ("", {})
    assert lineage.tools.keys() == {"openvino"}


def test_a_version_without_fp32_is_refused(
    compressed: tuple["Workplace", list[Progress]],
) -> None:
    place, _ = compressed
    with pytest.raises(InvalidInput, match="nothing to compress") as error:
        place.run(place.models.get("tiny", "2"), Plan(Optimization.FP16))
    assert error.value.field == "model_version"
