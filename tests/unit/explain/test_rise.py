"""RISE against the paper's formula, written out mask by mask."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.explain.masks import Masks, RandomGrids
from pellucid_server.explain.rise import RiseParameters, rise
from pellucid_server.types import Size


@dataclass
class Regions:
    """A model whose class k scores the mean brightness of region k of a masked image."""

    image: NDArray[np.float32]
    regions: Sequence[tuple[slice, slice]]
    targets: Sequence[int]
    seen: int = 0

    @property
    def size(self) -> Size:
        return Size(*self.image.shape)

    def scores(self, mask: NDArray[np.float32], fill: float) -> list[float]:
        masked = self.image * mask + fill * (1 - mask)
        return [float(masked[self.regions[target]].mean()) for target in self.targets]

    def masked_scores(
        self, blocks: Iterable[Masks], fill: float
    ) -> Iterator[tuple[Masks, NDArray[np.float32]]]:
        for block in blocks:
            self.seen += len(block)
            yield block, np.asarray([self.scores(mask, fill) for mask in block], np.float32)


@pytest.fixture
def problem() -> Regions:
    image = np.random.default_rng(1).random((40, 60)).astype(np.float32)
    regions = [(slice(4, 14), slice(6, 20)), (slice(22, 38), slice(40, 58))]
    return Regions(image, regions, targets=[0, 1])


@pytest.mark.parametrize("normalizer", ["expected", "coverage"])
@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_maps_are_the_papers_sum(problem: Regions, normalizer: str, fill: float) -> None:
    """S_c = 1/(N p) sum f_c(x * m_i) m_i (eq. 6), or over the coverage, to 1e-6."""
    parameters = RiseParameters(num_masks=100, seed=5, normalizer=normalizer, fill=fill)
    *_, last = rise(problem, parameters)
    masks = np.concatenate(list(RandomGrids(problem.size, 7, 0.5, 5).blocks(100))).astype(float)
    weights = np.asarray([problem.scores(mask.astype(np.float32), fill) for mask in masks])
    total = np.einsum("nc,nhw->chw", weights, masks)
    expected = total / (masks.sum(0) if normalizer == "coverage" else 100 * 0.5)
    assert np.abs(last.maps() - expected).max() < 1e-6


def test_map_is_highest_on_what_the_score_rests_on(problem: Regions) -> None:
    """The mean map inside a class's region exceeds that outside, for each class in one pass."""
    *_, last = rise(problem, RiseParameters(num_masks=1000))
    for values, region in zip(last.maps(), problem.regions, strict=True):
        inside = np.zeros(problem.size, bool)
        inside[region] = True
        peak = np.unravel_index(values.argmax(), values.shape)
        assert inside[peak]
        assert values[inside].mean() > values[~inside].mean() + values.std()


def test_progress_counts_every_mask_once(problem: Regions) -> None:
    """Done grows to exactly num_masks, and the model saw as many."""
    done = [progress.done for progress in rise(problem, RiseParameters(num_masks=70))]
    assert done == [32, 64, 70]
    assert problem.seen == 70


def test_partial_maps_are_maps_of_fewer_masks(problem: Regions) -> None:
    """The maps at 64 of 200 masks equal those of a call with 64 masks."""
    steps = rise(problem, RiseParameters(num_masks=200, seed=2))
    partial = next(step for step in steps if step.done == 64).maps()
    *_, whole = rise(problem, RiseParameters(num_masks=64, seed=2))
    assert np.array_equal(partial, whole.maps())
