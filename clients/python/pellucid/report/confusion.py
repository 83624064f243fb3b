"""Which classes are taken for which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pellucid.evaluations import NOTHING, Confusion, EvaluationReport

CLASSES = 30
"""Of the heat map at most: those with most errors."""
PAIRS = 12
LONGEST = 24
"""Characters of a name on an axis."""


@dataclass(frozen=True)
class Cell:
    """How often one class was taken for another: a count, and the share of its annotations."""

    annotated: str
    predicted: str
    count: int
    share: float
    text: str
    """It in words, with whole names."""
    right: bool = False


@dataclass(frozen=True)
class Matrix:
    """The heat map: classes by name, and cells above 0; `left_out` classes are not shown."""

    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    left_out: int


def most_confused(report: EvaluationReport, most: int = PAIRS) -> list[Cell]:
    """The pairs of different classes, the most frequent first."""
    totals = _totals(report.confusions)
    wrong = [each for each in report.confusions if each.annotated != each.predicted]
    wrong.sort(key=lambda each: -each.count)
    return [_cell(report, each, totals) for each in wrong[:most]]


def matrix(report: EvaluationReport, most: int = CLASSES) -> Matrix:
    """The classes with most errors, in the order of their indices; nothing comes last."""
    errors: Counter[int] = Counter()
    for each in report.confusions:
        wrong = each.count if each.annotated != each.predicted else 0
        errors.update({each.annotated: wrong})
        errors.update({each.predicted: wrong})
    worst = [class_id for class_id, _ in errors.most_common() if class_id != NOTHING][:most]
    shown = sorted(worst) + [NOTHING] * (NOTHING in errors)
    names = _distinct([shortened(report.name(class_id)) for class_id in shown])
    by_id = dict(zip(shown, names, strict=True))
    totals = _totals(report.confusions)
    cells = tuple(
        replace(
            _cell(report, each, totals),
            annotated=by_id[each.annotated],
            predicted=by_id[each.predicted],
        )
        for each in report.confusions
        if each.annotated in by_id and each.predicted in by_id
    )
    return Matrix(tuple(names), cells, len(errors.keys() - set(shown)))


def shortened(name: str) -> str:
    """A name for an axis or a legend."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _totals(confusions: Sequence[Confusion]) -> Counter[int]:
    totals: Counter[int] = Counter()
    for each in confusions:
        totals[each.annotated] += each.count
    return totals


def _cell(report: EvaluationReport, found: Confusion, totals: Counter[int]) -> Cell:
    one, other = report.name(found.annotated), report.name(found.predicted)
    share = found.count / totals[found.annotated]
    right = found.annotated == found.predicted
    verb = "recognised" if right else f"taken for {other}"
    text = f"{one} {verb}: {found.count:,} ({share:.1%})"
    return Cell(one, other, found.count, share, text, right)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of classes that share one get a number."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
