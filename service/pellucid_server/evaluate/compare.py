"""What one evaluation found that another of the same data set did not."""

from collections.abc import Iterable
from dataclasses import dataclass

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.comparison.align import Alignment
from pellucid_server.evaluate.comparison.bootstrap import Weights
from pellucid_server.evaluate.comparison.deltas import Delta, Side, deltas
from pellucid_server.evaluate.comparison.flips import Change, Flip, Flips
from pellucid_server.evaluate.comparison.maps import correlation
from pellucid_server.evaluate.comparison.shift import Shift
from pellucid_server.evaluate.evaluator import Evaluator
from pellucid_server.evaluate.report import Row

__all__ = ["Change", "Comparison", "Delta", "Flip", "Settings", "compare", "correlation"]

FEWEST_RESAMPLES, MOST_RESAMPLES = 100, 10_000
MOST_FLIPS = 100_000


@dataclass(frozen=True)
class Settings:
    """How much a comparison looks at."""

    resamples: int = 1000
    flips: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InvalidInput, by the field."""
        _require("resamples", self.resamples, FEWEST_RESAMPLES, MOST_RESAMPLES)
        _require("flips", self.flips, 0, MOST_FLIPS)


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"{name} is {value}: give {least} to {most}", field=name)


def _require_one_task(one: Evaluator, other: Evaluator) -> None:
    if one.task is not other.task:
        raise InvalidInput(
            f"the baseline is of {one.task} and the candidate of {other.task}: compare models of "
            "one task",
            field="candidate",
        )


@dataclass(frozen=True)
class Comparison:
    """How two evaluations of one data set differ, over the images that both have."""

    deltas: tuple[Delta, ...]
    """Of the metrics of both, in the baseline's order, and the mean score of an image."""
    images: int
    became_wrong: int
    became_right: int
    disagreements: int
    """Images for which the predicted classes differ, annotated or not."""
    flips: tuple[Flip, ...]
    confidence_shift: Delta | None
    """Of the confidence in the class that the baseline predicts; None: no image tells."""
    shift_images: int
    """Images that tell."""
    seconds: tuple[float, float]
    """Median time of an inference of either, to half a percent; NaN where none was measured."""
    only_baseline: int
    only_candidate: int
    """Images that one alone has, and that were left out."""
    differing_digests: int
    """Images that were changed between the two evaluations, and were compared nevertheless."""


def compare(
    baseline: Iterable[Row],
    candidate: Iterable[Row],
    judges: tuple[Evaluator, Evaluator],
    settings: Settings | None = None,
) -> Comparison:
    """Compares two evaluations of one task, row by row, in memory that does not grow with rows.

    Rows come in the order of the data set. `judges` are new ones of the baseline and the
    candidate, and judge anew what both have; how much they hold is theirs.

    Raises:
        InvalidInput: they have no image in common, or are of two tasks.
    """
    settings = settings or Settings()
    _require_one_task(*judges)
    alignment, flips = Alignment(), Flips(settings.flips)
    weights = Weights(settings.resamples, settings.seed)
    one, other = (Side(judge, weights) for judge in judges)
    shift = Shift(weights)
    for pair in alignment.pairs(baseline, candidate):
        one.add(pair[0])
        other.add(pair[1])
        flips.add(*pair)
        shift.add(*pair)
    if not alignment.images:
        raise InvalidInput(
            "the two evaluations have no image in common: compare two of one data set",
            field="candidate",
        )
    return Comparison(
        deltas=tuple(deltas(one, other)),
        images=alignment.images,
        became_wrong=flips.became_wrong,
        became_right=flips.became_right,
        disagreements=flips.disagreements,
        flips=flips.kept(),
        confidence_shift=shift.delta(),
        shift_images=shift.images,
        seconds=(one.seconds.value, other.seconds.value),
        only_baseline=alignment.only_baseline,
        only_candidate=alignment.only_candidate,
        differing_digests=alignment.differing_digests,
    )
