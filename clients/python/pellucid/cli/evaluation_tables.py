"""Reports and comparisons as tables for the terminal."""

from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pellucid.cli.console import printable
from pellucid.comparisons import Comparison, Flip, MetricDelta
from pellucid.evaluations import Evaluation, EvaluationReport, Example, Metric
from pellucid.report.confusion import most_confused
from pellucid.report.glossary import meaning
from pellucid.types import Category

WORST = 5
_LEFT = frozenset(
    {
        "metric",
        "class",
        "annotated",
        "predicted",
        "taken for",
        "image",
        "where",
        "reason",
        "name",
        "state",
        "model",
        "data set",
        "meaning",
        "created",
        "change",
        "baseline ",
        "candidate ",
        "95 % interval",
        "verdict",
        "",
    }
)
"""Columns of words."""


def figure(metric: Metric) -> str:
    """A metric in a few characters."""
    known = meaning(metric.name)
    return f"{metric.name} {known.show(metric.value, metric.unit)}"


def report(
    evaluation: Evaluation, found: EvaluationReport, bad: Sequence[Example]
) -> Iterator[Table]:
    """A report: metrics, the worst classes, what is confused, the first bad annotations."""
    yield _table(_title(evaluation, found), ("metric", "value", "meaning"), _metrics(found))
    worst = sorted((each for each in found.classes if each.support), key=lambda each: each.f1)
    if len(worst) > 1:
        rows = [
            (
                each.category.name,
                f"{each.support:,}",
                *map(_share, (each.precision, each.recall, each.f1)),
            )
            for each in worst[:WORST]
        ]
        head = ("class", "annotations", "precision", "recall", "F1")
        yield _table("worst classes", head, rows)
    confused = most_confused(found, WORST)
    if confused:
        rows = [
            (each.annotated, each.predicted, f"{each.count:,}", _share(each.share))
            for each in confused
        ]
        yield _table("most confused", ("annotated", "taken for", "times", "share"), rows)
    if bad:
        rows = [(each.location or "-", each.path, each.reason) for each in bad]
        title = f"bad annotations: {found.bad_annotations:,}, left out of every figure"
        yield _table(title, ("where", "image", "reason"), rows)


def evaluations(found: Sequence[Evaluation]) -> Table:
    """A list of evaluations."""
    rows = [
        (
            each.name,
            f"{each.state} {each.done:,}/{each.total:,}" if not each.state.ended else each.state,
            f"{each.model}:{each.version}" if each.version else each.model,
            each.place,
            each.create_time.strftime("%Y-%m-%d %H:%M") if each.create_time else "",
        )
        for each in found
    ]
    title = f"{len(found)} evaluation{'' if len(found) == 1 else 's'}"
    return _table(title, ("name", "state", "model", "data set", "created"), rows)


def examples(title: str, rows: Sequence[Example]) -> Table:
    """Rows of an evaluation."""
    if rows and all(each.reason for each in rows):
        bad = [(each.location or "-", each.path, each.reason) for each in rows]
        return _table(title, ("where", "image", "reason"), bad)
    head = ("index", "image", "annotated", "predicted", "confidence", "rank", "score", "")
    return _table(title, head, map(_example, rows))


def comparison(found: Comparison) -> Iterator[Table]:
    """A comparison: differences, what changed, speed and size."""
    models = (found.baseline, found.candidate)
    names = [f"{each.name}:{each.version} {each.precision}".strip() for each in models]
    title = f"{names[1]} against {names[0]}, {found.images:,} images"
    deltas = [*found.deltas, *([found.confidence_shift] if found.confidence_shift else [])]
    head = ("metric", "baseline", "candidate", "difference", "95 % interval", "verdict")
    yield _table(title, head, map(_delta, deltas))
    summary = _table("what changed", ("name", "meaning"), _changed(found))
    summary.show_header = False
    yield summary
    if found.flips:
        flipped = ("change", "baseline ", "candidate ", "annotated", "image")
        rows = map(_flip, found.flips[: 2 * WORST])
        yield _table("changed predictions, the most confident first", flipped, rows)


def _changed(found: Comparison) -> Iterator[tuple[str, str]]:
    models = (found.baseline, found.candidate)
    yield "became wrong", f"{found.became_wrong:,}"
    yield "became right", f"{found.became_right:,}"
    yield "disagreements", f"{found.disagreements:,}"
    if found.only_baseline or found.only_candidate:
        left_out = f"{found.only_baseline:,} of the baseline, {found.only_candidate:,} of the other"
        yield "left out: images that one alone has", left_out
    if found.changed_images:
        yield "images changed between the two", f"{found.changed_images:,}"
    if found.speedup:
        times = " to ".join(f"{1000 * each.inference_time:.2f}" for each in models)
        yield "speed", f"{found.speedup:.2f} times as fast: {times} ms an inference"
    if found.size_ratio:
        sizes = " to ".join(f"{each.size_bytes / 1e6:.1f}" for each in models)
        yield "size", f"{_share(found.size_ratio)}: {sizes} MB"
    if found.map_correlation is not None:
        mean = f"{found.map_correlation:.3f}, mean of {len(found.map_correlations)} images"
        yield "correlation of importance maps", mean


def _flip(found: Flip) -> tuple[str, ...]:
    shown = (found.baseline, found.candidate, found.annotated)
    return found.change, *map(_category, shown), found.path


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    drawn = Table(box=SIMPLE_HEAD, title=Text(printable(title)), title_justify="left")
    for name in head:
        words = name in _LEFT
        drawn.add_column(
            name, justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    return drawn


def _title(evaluation: Evaluation, found: EvaluationReport) -> str:
    version = f":{evaluation.version}" if evaluation.version else ""
    on = f" on {evaluation.place}" if evaluation.place else ""
    speed = f"{found.images:,} images, {found.images_per_second:,.1f}/s"
    return f"{evaluation.model}{version}{on}: {speed}"


def _metrics(found: EvaluationReport) -> Iterator[tuple[str, str, str]]:
    if not found.metrics:
        yield "none", "", "Nothing that could be judged is annotated."
    for each in found.metrics:
        known = meaning(each.name)
        yield each.name, known.show(each.value, each.unit), known.text


def _example(row: Example) -> tuple[str, ...]:
    said = {True: "right", False: "wrong", None: ""}[row.correct]
    if row.missed or row.extra:
        said = f"{said}: {row.missed} missed, {row.extra} extra"
    return (
        str(row.index),
        row.path,
        row.annotated.name if row.annotated else "",
        row.predicted.name if row.predicted else "",
        _share(row.predicted.confidence) if row.predicted else "",
        str(row.rank or ""),
        "" if row.score is None else f"{row.score:.4g}",
        said,
    )


def _delta(found: MetricDelta) -> tuple[str, ...]:
    known = meaning(found.name)
    interval, verdict = "", "not resampled"
    if found.low is not None and found.high is not None:
        ends = (known.show(end, found.unit, signed=True) for end in (found.low, found.high))
        interval = " to ".join(ends)
        better = (found.delta < 0) == known.lower_is_better
        verdict = ("better" if better else "worse") if found.significant else "within chance"
        verdict = verdict if found.delta else "the same"
        if found.name == "confidence" and found.significant:
            verdict = "shifted"
    values = (known.show(found.baseline, found.unit), known.show(found.candidate, found.unit))
    return found.name, *values, known.show(found.delta, found.unit, signed=True), interval, verdict


def _category(found: Category | None) -> str:
    return f"{found.name} {_share(found.confidence)}" if found else "nothing"


def _share(value: float) -> str:
    return f"{value:.1%}"
