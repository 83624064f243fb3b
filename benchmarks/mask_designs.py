"""How many masks each design needs for a map: writes the tables of docs/mask-designs.md.

Scores are cached under benchmarks/.cache; photos beside the samples are optional:

    .venv/bin/python benchmarks/mask_designs.py --photos ~/photos/*.jpg
"""

import argparse
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from lost_designs import LOST
from numpy.typing import NDArray
from perturbation import Perturbation
from score_banks import NETWORKS, ROOT, Bank, Banks

from pellucid_server.explain.convergence import Convergence
from pellucid_server.explain.designs import BLOCK, DESIGNS, Design
from pellucid_server.explain.masks import MaskBlock, MaskTables

PAGE = ROOT / "docs" / "mask-designs.md"
CELLS, FINE = 7, 8
"""Cells of the grids, and the pixels between two points at which maps are compared."""
LEVELS = 0.90, 0.95, 0.97
COUNTS = 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096
STARTS = 16
"""Runs of each bank with which stopping is tried."""
TRIED = {**DESIGNS, **LOST, "coverage": DESIGNS["plain"]}
SEEDS = {"plain": 1, "hadamard": 2} | dict.fromkeys(LOST, 3)
SOURCE = {"centred": "plain", "coverage": "plain"}
"""Estimators that weigh the scores of another design's masks differently."""

Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Study:
    """A network, its photos, and how many masks of each design were scored."""

    network: str
    photos: tuple[Path, ...]
    targets: int
    counts: Mapping[str, int]
    designs: tuple[str, ...]

    @cached_property
    def banks(self) -> Banks:
        return Banks(NETWORKS[self.network], CELLS, self.targets)

    def design(self, name: str) -> Design:
        source = SOURCE.get(name, name)
        return TRIED[name](CELLS, self.banks.tables.shifts, 0.5, SEEDS[source])

    def bank(self, photo: Path, name: str) -> Bank:
        source = SOURCE.get(name, name)
        return self.banks.get(photo, source, self.design(source), self.counts[source])

    @cache  # noqa: B019 - studies live as long as the program
    def masks(self, name: str) -> NDArray[np.float32]:
        """All masks of a design on a lattice, masks x points."""
        blocks = self.design(name).blocks(self.counts[SOURCE.get(name, name)])
        lattice = _lattice(self.banks.tables)
        return np.concatenate([block.render(lattice).reshape(len(block), -1) for block in blocks])

    @cache  # noqa: B019 - as above
    def reference(self, photo: Path, target: int, other: bool) -> "Reference":  # noqa: FBT001
        """From plain masks, scores centred; from those of `hadamard` where `other`."""
        return Reference(Case(self, "hadamard" if other else "centred", photo, target))

    def cases(self, name: str) -> Iterator["Case"]:
        """Each photo and target for which the design's masks were scored."""
        for photo in self.photos:
            for target in range(self.targets):
                yield Case(self, name, photo, target)


def _lattice(tables: MaskTables) -> MaskTables:
    return MaskTables(
        np.ascontiguousarray(tables.rows[:, ::FINE]),
        np.ascontiguousarray(tables.columns[:, ::FINE]),
    )


@dataclass(frozen=True, eq=False)
class Case:
    """A photo and a target, seen through the masks of a design."""

    study: Study
    design: str
    photo: Path
    target: int

    @cached_property
    def scores(self) -> Real:
        return self.study.bank(self.photo, self.design).scores[:, self.target]

    def map(self, part: NDArray[np.int64]) -> Real:
        """The design's estimate from some of its masks, up to a factor and a constant."""
        scores, masks = self.scores[part], self.study.masks(SOURCE.get(self.design, self.design))
        if self.design == "coverage":
            return np.asarray((scores @ masks[part]) / masks[part].sum(0))
        if self.design != "plain":
            scores = scores - scores.mean()
        return np.asarray(scores @ masks[part])

    def truth(self, part: NDArray[np.int64]) -> float:
        """Correlation with the limit map; the reference has none of the masks of `part`.

        Divided by the reference's own correlation with the limit, which its parts tell.
        """
        own = SOURCE.get(self.design, self.design) == "plain"
        few = self.study.counts["plain"] < 2 * max(COUNTS)
        reference = self.study.reference(self.photo, self.target, own and few)
        values, reliability = reference.without(part if own and not few else part[:0])
        return min(1.0, float(np.corrcoef(self.map(part), values)[0, 1]) / reliability)

    def runs(self, count: int) -> Iterator[NDArray[np.int64]]:
        """Separate runs of `count` masks, four at most."""
        for start in range(0, min(len(self.scores), 4 * count) - count + 1, count):
            yield np.arange(start, start + count)


class Reference:
    """The limit map as many masks of one design tell it, scores centred."""

    def __init__(self, case: Case) -> None:
        self.masks = case.study.masks(SOURCE.get(case.design, case.design))
        self.scores = case.scores - case.scores.mean()
        self.total = self._sum(np.arange(len(self.scores)))
        size = case.study.design(case.design).stratum
        strata = np.arange(len(self.scores)).reshape(-1, size)
        parts = np.stack([self._sum(stratum) for stratum in strata])
        self.noise = ((parts - parts.mean(0)) ** 2).sum() / (len(parts) - 1) / size
        """Squared norm of the error that one mask adds."""

    def _sum(self, part: NDArray[np.int64]) -> Real:
        total = self.scores[part] @ self.masks[part]
        return np.asarray(total - total.mean())

    def without(self, part: NDArray[np.int64]) -> tuple[Real, float]:
        """The map of the other masks, and its expected correlation with the limit."""
        values = self.total - self._sum(part)
        noise = self.noise * (len(self.scores) - len(part))
        return values, float(np.sqrt(1 - noise / (values**2).sum()))


def masks_to(case: Case) -> list[float]:
    """Masks to each level, by interpolation of log(1 - r^2) over log N; inf beyond the bank."""
    counts = [count for count in COUNTS if count <= len(case.scores)]
    means = [np.mean([case.truth(run) for run in case.runs(count)]) for count in counts]
    errors = np.minimum.accumulate(np.log(1 - np.minimum(means, 0.9999) ** 2))
    needed = []
    for level in LEVELS:
        wanted = np.log(1 - level**2)
        if errors[-1] > wanted:
            needed.append(np.inf)
        else:
            needed.append(float(np.exp(np.interp(-wanted, -errors, np.log(counts)))))
    return needed


def stops(case: Case, level: float) -> Iterator[tuple[float, float]]:
    """Masks at which runs with `stop_at` end, inf if beyond the bank; true correlation there."""
    study, design = case.study, case.study.design(case.design)
    blocks = list(design.blocks(len(case.scores)))
    step = max(1, design.stratum // BLOCK)
    starts = range(0, len(blocks), max(step, len(blocks) // STARTS))
    unseen = 2 if case.design == "centred" else 1  # the reference needs the other half
    for start in starts:
        order = blocks[start:] + blocks[:start]
        convergence = Convergence(study.banks.tables, design.stratum, centred=True, targets=1)
        for count, block in enumerate(order[: 1 + (len(blocks) - 1) // unseen], 1):
            scores = case.scores[block.start : block.start + BLOCK, None]
            convergence.add(block, scores.astype(np.float32))
            (estimate,) = convergence.correlations()
            if estimate is not None and estimate >= level:
                yield convergence.done, case.truth(_indices(order[:count]))
                break
        else:
            yield np.inf, np.nan


def _indices(blocks: list[MaskBlock]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(block.start, block.start + len(block)) for block in blocks])


def _number(value: float) -> str:
    return "more" if np.isinf(value) else f"{value:,.0f}"


def _range(truths: Real) -> str:
    return f"{np.median(truths):.3f} | {truths.min():.3f}" if len(truths) else "- | -"


def needs_table(studies: list[Study]) -> str:
    """Median masks to each level."""
    lines = [
        "| network | design | to 0.90 | to 0.95 | to 0.97 | cases |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for study in studies:
        for name in study.designs:
            rows = [masks_to(case) for case in study.cases(name)]
            cells = " | ".join(_number(value) for value in np.median(rows, axis=0))
            lines.append(f"| {study.network} | {name} | {cells} | {len(rows)} |")
    return "\n".join(lines)


def photos_table(study: Study) -> str:
    """Masks to 0.95 for the first target of each photo, and how well plain's limit agrees."""
    names = ("plain", "centred", "hadamard")
    lines = [f"| photo | {' | '.join(names)} | plain's 16,000 against the reference |"]
    lines.append("|---|--:|--:|--:|--:|")
    for photo in study.photos:
        cases = [Case(study, name, photo, 0) for name in names]
        cells = " | ".join(_number(masks_to(case)[1]) for case in cases)
        whole = np.arange(len(cases[0].scores))
        same = np.corrcoef(cases[0].map(whole), cases[1].map(whole))[0, 1]
        lines.append(f"| {photo.name} | {cells} | {same:.4f} |")
    return "\n".join(lines)


def stops_table(studies: list[Study]) -> str:
    """What `stop_at` gives."""
    lines = [
        "| network | design | stop_at | median masks | median r | lowest r | stopped | runs |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for study, name, level in itertools.product(studies, ("centred", "hadamard"), LEVELS):
        found = [run for case in study.cases(name) for run in stops(case, level)]
        masks, truths = np.asarray(found).T
        lines.append(
            f"| {study.network} | {name} | {level:.2f} | {_number(float(np.median(masks)))} "
            f"| {_range(truths[np.isfinite(truths)])} "
            f"| {np.isfinite(masks).sum()} | {len(found)} |"
        )
    return "\n".join(lines)


def perturbation_table(study: Study) -> str:
    """Insertion and deletion of maps of a few masks beside those of many."""
    measure = Perturbation(NETWORKS[study.network])
    tables = study.banks.tables
    lines = ["| design | masks | r | insertion | deletion |", "|---|--:|--:|--:|--:|"]
    for name, count in [
        ("plain", 512), ("centred", 512), ("hadamard", 512), ("plain", 4096), ("centred", 16000),
    ]:  # fmt: skip
        rows = []
        for photo in study.photos:
            case, part = Case(study, name, photo, 0), np.arange(count)
            values = _whole_map(study.design(name), tables, case.scores[part])
            target = int(study.bank(photo, name).targets[0])
            truth = np.nan if count == study.counts["plain"] else case.truth(part)
            areas = (
                measure.insertion(photo, values, target),
                measure.deletion(photo, values, target),
            )
            rows.append((truth, *areas))
        r, insertion, deletion = np.mean(rows, axis=0)
        shown = "the reference" if np.isnan(r) else f"{r:.3f}"
        lines.append(f"| {name} | {count:,} | {shown} | {insertion:.4f} | {deletion:.4f} |")
    return "\n".join(lines)


def _whole_map(design: Design, tables: MaskTables, scores: Real) -> NDArray[np.float32]:
    from pellucid_server.explain.saliency import Saliency  # noqa: PLC0415 - one use

    saliency = Saliency(design, tables)
    saliency.add(scores[:, None].astype(np.float32))
    return next(saliency.maps())


def write(tables: Mapping[str, str]) -> None:
    """Replaces the tables in the page, each between its marks."""
    text = PAGE.read_text()
    for name, table in tables.items():
        before, after = f"<!-- {name} -->\n", "\n<!-- end -->"
        head, rest = text.split(before)
        text = head + before + table + after + rest.split(after, 1)[1]
    PAGE.write_text(text)


def main() -> None:
    """Computes what the cache lacks, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="beside the samples")
    parser.add_argument("--nanodet", type=Path, nargs="*", help="photos for the second network")
    arguments = parser.parse_args()
    samples = sorted((ROOT / "samples").iterdir())
    counts = {"plain": 16000, "hadamard": 2048} | dict.fromkeys(LOST, 2048)
    main_designs = ("plain", "coverage", "centred", "hadamard")
    lite = Study("efficientnet-lite0", (*samples, *arguments.photos), 3, counts, main_designs)
    tried = Study("efficientnet-lite0", tuple(samples), 3, counts, ("centred", "hadamard", *LOST))
    nano = Study(
        "nanodet", tuple(arguments.nanodet or (samples[0], samples[2])), 2,
        {"plain": 3072, "hadamard": 2048}, main_designs,
    )  # fmt: skip
    tables = {
        "needs": needs_table([lite, nano]),
        "tried": needs_table([tried]),
        "photos": photos_table(lite),
        "stops": stops_table([lite, nano]),
        "perturbation": perturbation_table(lite),
    }
    print("\n\n".join(tables.values()))
    if PAGE.exists():
        write(tables)
    for study in (lite, tried, nano):
        study.banks.close()


if __name__ == "__main__":
    main()
