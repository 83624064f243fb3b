"""RISE: random masks, weighted by the score that each leaves (arXiv 1806.07421)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.explain.masks import Masks, RandomGrids
from pellucid_server.explain.method import Maps, Problem, Progress, method
from pellucid_server.explain.parameters import parameter
from pellucid_server.types import Size, Task


@dataclass(frozen=True)
class RiseParameters:
    """Parameters of RISE; the paper used 7 cells, prob 0.5 and 4,000 to 8,000 masks."""

    num_masks: int = parameter(
        2000, "Masks: the error falls with their square root.", minimum=1, maximum=1_000_000
    )
    num_cells: int = parameter(
        7, "Cells of the grid along each side: more see finer, and need more masks.",
        minimum=1, maximum=64,
    )  # fmt: skip
    prob: float = parameter(
        0.5, "Probability that a cell is left visible.", minimum=0.01, maximum=0.99
    )
    seed: int = parameter(
        0, "Seed of the masks: the same seed gives the same masks.", minimum=0, maximum=2**63 - 1
    )
    fill: float = parameter(
        0.0, "What replaces hidden pixels, in the model's normalised units: 0 is the mean.",
        minimum=-1000, maximum=1000,
    )  # fmt: skip
    interpolation: str = parameter(
        "linear", "How grids are upsampled.", choices=("linear", "cubic", "nearest")
    )
    normalizer: str = parameter(
        "expected",
        "What the weighted sum of masks is divided by: `expected`, num_masks x prob as in the "
        "paper, or `coverage`, how often each pixel was really visible.",
        choices=("expected", "coverage"),
    )


@dataclass
class Saliency:
    """The running sums of the estimator, in the order of the masks."""

    targets: int
    size: Size
    done: int = 0
    weighted: NDArray[np.float64] = field(init=False)
    coverage: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.weighted = np.zeros((self.targets, *self.size))
        self.coverage = np.zeros(self.size)

    def add(self, masks: Masks, scores: NDArray[np.float32]) -> None:
        """Adds a block: `scores` is masks x targets."""
        flat = masks.reshape(len(masks), -1)
        self.weighted += (scores.T @ flat).reshape(self.weighted.shape)
        self.coverage += masks.sum(0)
        self.done += len(masks)

    def maps(self, parameters: RiseParameters) -> Maps:
        """S_c = 1 / (N p) sum_i f_c(x * m_i) m_i (eq. 6)."""
        if parameters.normalizer == "coverage":
            return (self.weighted / np.maximum(self.coverage, 1e-12)).astype(np.float32)
        return (self.weighted / (self.done * parameters.prob)).astype(np.float32)


@method(
    "rise",
    description="Hides random parts of the image and weighs each by the score that is left.",
    reference="Petsiuk, Das, Saenko: RISE (BMVC 2018), arXiv 1806.07421",
    parameters=RiseParameters,
    tasks=(Task.CLASSIFICATION,),
    units=lambda parameters: parameters.num_masks,
)
def rise(problem: Problem, parameters: RiseParameters) -> Iterator[Progress]:
    """Yields after every block of masks; all targets cost one pass."""
    grids = RandomGrids(
        size=problem.size,
        cells=parameters.num_cells,
        prob=parameters.prob,
        seed=parameters.seed,
        interpolation=parameters.interpolation,
    )
    saliency = Saliency(len(problem.targets), problem.size)
    blocks = grids.blocks(parameters.num_masks)
    for masks, scores in problem.masked_scores(blocks, parameters.fill):
        saliency.add(masks, scores)
        yield Progress(saliency.done, lambda: saliency.maps(parameters))
