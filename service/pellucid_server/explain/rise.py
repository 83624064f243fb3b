"""RISE: random masks, weighted by the score that each leaves (arXiv 1806.07421)."""

from collections.abc import Iterator
from dataclasses import dataclass

from pellucid_server.errors import InvalidInput
from pellucid_server.explain.convergence import STRATA, Convergence
from pellucid_server.explain.designs import DESIGNS
from pellucid_server.explain.masks import MaskTables
from pellucid_server.explain.method import Problem, Progress, method
from pellucid_server.explain.parameters import parameter
from pellucid_server.explain.saliency import Saliency
from pellucid_server.types import Task

MOST_CELLS = 32
"""Of a Hadamard design: its strata have 2,048 masks then, and a map needs several."""


@dataclass(frozen=True)
class RiseParameters:
    """Parameters of RISE; the paper used 7 cells, prob 0.5 and 4,000 to 8,000 masks."""

    num_masks: int = parameter(
        1024, "Masks, at most: the error falls with their square root.",
        minimum=1, maximum=1_000_000,
    )  # fmt: skip
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
    design: str = parameter(
        "hadamard",
        "Which masks are drawn: `plain`, independent ones as in the paper; `centred`, the same, "
        "and the mean score is taken from each score; `hadamard`, balanced sets of masks and "
        "their complements. All have the same limit; `hadamard` needs the fewest masks.",
        choices=tuple(DESIGNS),
    )
    stop_at: float = parameter(
        0.0,
        "Stop as soon as the map of every target is estimated to correlate with its limit by "
        "this much: 0 never, 0.95 looks the same.",
        minimum=0, maximum=0.999,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.design == "hadamard" and self.prob != 0.5:
            raise InvalidInput(
                "the hadamard design shows each cell in half of the masks: prob must be 0.5; "
                "for others set design to centred",
                field="parameters[prob]",
            )
        if self.design == "hadamard" and self.num_cells > MOST_CELLS:
            raise InvalidInput(
                f"the hadamard design takes up to {MOST_CELLS} cells along each side; for more "
                "set design to centred",
                field="parameters[num_cells]",
            )


def fewest(parameters: RiseParameters) -> int:
    """Masks of a run that stops as soon as it may."""
    if not parameters.stop_at:
        return parameters.num_masks
    any_shift = (1, 1)
    design = DESIGNS[parameters.design](parameters.num_cells, any_shift, parameters.prob, 0)
    return min(parameters.num_masks, STRATA * design.stratum)


@method(
    "rise",
    description="Hides random parts of the image and weighs each by the score that is left.",
    reference="Petsiuk, Das, Saenko: RISE (BMVC 2018), arXiv 1806.07421",
    parameters=RiseParameters,
    tasks=tuple(task for task in Task if task is not Task.RAW),
    units=lambda parameters: parameters.num_masks,
    fewest=fewest,
)
def rise(problem: Problem, parameters: RiseParameters) -> Iterator[Progress]:
    """Yields after every block of masks; all targets cost one pass."""
    tables = MaskTables.of(problem.size, parameters.num_cells, parameters.interpolation)
    design = DESIGNS[parameters.design](
        parameters.num_cells, tables.shifts, parameters.prob, parameters.seed
    )
    saliency = Saliency(design, tables, parameters.normalizer)
    convergence = Convergence(
        tables,
        design.stratum,
        centred=design.centred or parameters.normalizer == "coverage",
        targets=len(problem.targets),
        prob=parameters.prob,
    )
    blocks = design.blocks(parameters.num_masks)
    for block, scores in problem.masked_scores(tables, blocks, parameters.fill):
        saliency.add(scores)
        convergence.add(block, scores)
        estimates = convergence.correlations()
        spreads = convergence.standard_errors()
        yield Progress(
            convergence.done, saliency.maps, estimates, spreads, saliency.standard_errors
        )
        if parameters.stop_at and all(value and value >= parameters.stop_at for value in estimates):
            return
