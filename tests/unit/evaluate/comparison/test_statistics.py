"""Metrics of resamples against the judges' own, on images repeated as often as they are drawn."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pellucid_server.evaluate.comparison.bootstrap import BLOCK, Resampled, Weights
from pellucid_server.evaluate.comparison.statistics import STATISTICS
from pellucid_server.evaluate.evaluators import EVALUATORS
from pellucid_server.evaluate.report import Row

if TYPE_CHECKING:
    from tests.unit.evaluate.comparison.conftest import Maker

RESAMPLES = 8
NOT_RESAMPLED = {
    "single": set[str](),
    "multi": {"map"},
    "pixels": set[str](),
    "pictures": set[str](),
    "numbers": set[str](),
}


class Given(Weights):
    """Those that the test wants."""

    def __init__(self, drawn: np.ndarray) -> None:
        super().__init__(drawn.shape[1], 0)
        self._drawn = {0: np.pad(drawn, ((0, BLOCK - len(drawn)), (0, 0)))}


def resampled(maker: "Maker", rows: list[Row], drawn: np.ndarray) -> dict[str, np.ndarray]:
    judge = maker.judge()
    statistic = STATISTICS[judge.task](judge.options)
    sums = Resampled(Given(drawn))
    for row in rows:
        sums.add(row.index, statistic.increments(row))
    return dict(statistic.metrics(sums.sums))


def repeated(maker: "Maker", rows: list[Row], times: np.ndarray) -> dict[str, float]:
    """By the judge, of images as often as they were drawn."""
    judge = maker.judge()
    for row, count in zip(rows, times.astype(int).tolist(), strict=True):
        for _ in range(count):
            judge.add(row)
    return {metric.name: metric.value for metric in judge.report().metrics}


@pytest.mark.parametrize("seed", [1, 2])
def test_every_metric_is_the_judge_s_on_the_images_drawn(maker: "Maker", seed: int) -> None:
    """To 1e-9; few images, so that classes are missing in some resamples."""
    rows = maker.rows(9, seed)
    drawn = np.random.default_rng(seed).poisson(1, (9, RESAMPLES)).astype(np.float64)
    found = resampled(maker, rows, drawn)
    for place in range(RESAMPLES):
        expected = repeated(maker, rows, drawn[:, place])
        known = {name: values[place] for name, values in found.items() if name in expected}
        assert known
        assert known == pytest.approx({name: expected[name] for name in known}, abs=1e-9)


def test_which_metrics_have_no_interval(makers: Callable[[str], "Maker"]) -> None:
    for kind, missing in NOT_RESAMPLED.items():
        maker = makers(kind)
        rows = maker.rows(9, 1)
        expected = repeated(maker, rows, np.ones(9))
        assert set(expected) - set(resampled(maker, rows, np.ones((9, RESAMPLES)))) == missing


def test_of_objects_those_at_the_threshold_have_one(makers: Callable[[str], "Maker"]) -> None:
    rows = makers("objects").rows(9, 1)
    found = resampled(makers("objects"), rows, np.ones((9, RESAMPLES)))
    assert found.keys() == {"precision", "recall", "f1"}


def test_images_that_are_not_annotated(makers: Callable[[str], "Maker"]) -> None:
    """The mean confidence, which is all that the judge tells."""
    maker = makers("single")
    rows = [Row(row.index, row.path, predicted=row.predicted) for row in maker.rows(9, 1)]
    drawn = np.random.default_rng(0).poisson(1, (9, RESAMPLES)).astype(np.float64)
    found = resampled(maker, rows, drawn)
    for place in range(RESAMPLES):
        expected = repeated(maker, rows, drawn[:, place])
        assert {name: values[place] for name, values in found.items()} == pytest.approx(expected)


def test_every_task_that_is_evaluated_is_resampled() -> None:
    assert STATISTICS.keys() == EVALUATORS.keys()


def test_numbers_that_have_no_logarithm_have_no_msle(makers: Callable[[str], "Maker"]) -> None:
    maker = makers("numbers")
    rows = [
        Row(0, "0", detail={"values": [1.0, 2.0], "targets": [1.0, 3.0]}),
        Row(1, "1", detail={"values": [-2.0, 2.0], "targets": [1.0, 5.0]}),
    ]
    found = resampled(maker, rows, np.ones((2, RESAMPLES)))
    assert "msle" not in found
    assert "msle.area" in found
    assert "msle.price" not in found


def test_numbers_far_from_zero_keep_their_r2(makers: Callable[[str], "Maker"]) -> None:
    """The variance is 1e-14 of the squares; 1e-6 of it is lost at most."""
    maker = makers("numbers")
    random = np.random.default_rng(0)
    targets = 1e7 + random.random((50, 2))
    values = targets + 0.1 * random.random((50, 2))
    rows = [
        Row(index, str(index), detail={"values": said.tolist(), "targets": told.tolist()})
        for index, (said, told) in enumerate(zip(values, targets, strict=True))
    ]
    found = resampled(maker, rows, np.ones((50, RESAMPLES)))
    assert found["r2"][0] == pytest.approx(repeated(maker, rows, np.ones(50))["r2"], rel=1e-6)
