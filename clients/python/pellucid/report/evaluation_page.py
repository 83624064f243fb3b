"""The page of one evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from pellucid.client import Client
from pellucid.errors import FailedPreconditionError
from pellucid.evaluations import Evaluation, EvaluationReport, Example
from pellucid.report import charts, confusion
from pellucid.report.glossary import meaning
from pellucid.report.page import render
from pellucid.report.pictures import thumbnails
from pellucid.types import Task

ROWS = 2000
PICTURES = 60
BAD = 200
GRADED = {
    Task.SEMANTIC_SEGMENTATION,
    Task.SUPER_RESOLUTION,
    Task.STYLE_TRANSFER,
    Task.INPAINTING,
    Task.REGRESSION,
}
"""Tasks of which an answer is better or worse, but not right or wrong."""
MAIN = ("top_1", "map", "mean_iou", "psnr_holes", "psnr", "r2", "rmse", "exact_match")
"""What stands on the first card: the first of these that there is."""


def evaluation_page(
    client: Client, name: str, *, rows: int = ROWS, pictures: int = PICTURES
) -> str:
    """The page of a finished evaluation: its report, its worst rows and their pictures.

    Raises:
        ImportError: the extra is not installed.
        PellucidError: the server's error; FailedPreconditionError: there is no report yet.
    """
    evaluation = client.evaluation(name)
    report = evaluation.report
    if report is None:
        raise FailedPreconditionError(
            f"evaluation {name} is {evaluation.state}: there is no report of it"
        )
    worst = list(islice(client.examples(name, order="score", page_size=1000), rows))
    judged = _judged(evaluation, worst)
    shown = [each for each in worst if not (judged and each.correct)][:pictures]
    drawn = thumbnails(client, name, [each.index for each in shown])
    bad = list(islice(client.examples(name, bad_annotations=True), BAD))
    return render(
        "evaluation.html.j2",
        evaluation=evaluation,
        report=report,
        settings=_settings(evaluation),
        cards=list(_cards(evaluation, report)),
        charts=_charts(report),
        confused=confusion.most_confused(report),
        class_metrics=_class_metrics(report),
        worst=list(zip(shown, drawn, strict=True)),
        rows=worst,
        columns=_columns(evaluation, worst),
        judged=judged,
        graded=evaluation.task in GRADED,
        bad=bad,
    )


@dataclass(frozen=True)
class Card:
    """A figure to see first."""

    title: str
    value: str
    text: str = ""


def _cards(evaluation: Evaluation, report: EvaluationReport) -> Iterator[Card]:
    named = {each.name: each for each in report.metrics}
    first = next((named[name] for name in MAIN if name in named), None)
    for metric in (first, named.get("ece")):
        if metric is not None:
            known = meaning(metric.name)
            yield Card(known.title, known.show(metric.value, metric.unit), known.text)
    yield Card("Images", f"{report.images:,}")
    if report.bad_annotations:
        yield Card("Bad annotations", f"{report.bad_annotations:,}", "Left out of every figure.")
    yield Card("Speed", f"{report.images_per_second:,.1f}", "Images in a second.")
    if evaluation.precision:
        yield Card("Precision", evaluation.precision, "That the model was computed in.")


def _charts(report: EvaluationReport) -> Mapping[str, str]:
    """The charts that there is something for."""
    by_name: dict[str, list[Any]] = {}
    for curve in report.curves:
        if curve.x:
            by_name.setdefault(curve.name, []).append(curve)
    found = {}
    if report.confusions:
        found["confusion"] = charts.confusion(confusion.matrix(report))
    if "reliability" in by_name:
        found["reliability"] = charts.reliability(by_name["reliability"][0])
    if "precision_recall" in by_name:
        found["precision_recall"] = charts.precision_recall(by_name["precision_recall"])
    if "scores" in by_name:
        has_psnr = any(each.name.startswith("psnr") for each in report.metrics)
        title = "PSNR in dB" if has_psnr else "confidence"
        found["scores"] = charts.histogram(by_name["scores"], title, "images or objects")
    return found


def _class_metrics(report: EvaluationReport) -> list[str]:
    """Names of further metrics that classes have, in their order."""
    return list(dict.fromkeys(each.name for found in report.classes for each in found.metrics))


def _settings(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What was evaluated, and how; what is not set is left out."""
    given = evaluation.settings
    rows = {
        "model": given.model,
        "version": evaluation.version or given.version,
        "task": evaluation.task.words if evaluation.task is not Task.UNSPECIFIED else "",
        "precision": evaluation.precision,
        "data set": given.dataset,
        "format": given.format,
        "digest of the data set": evaluation.dataset_digest,
        "subset": _listed({k: v for k, v in asdict(given.subset).items() if v})
        if given.subset
        else "",
        "metrics": ", ".join(given.metrics),
        "label map": _listed(given.label_map),
        "threshold": "" if given.threshold is None else f"{given.threshold:g}",
        "batch": str(given.batch or ""),
        "preprocessing": _listed({k: v for k, v in asdict(given.preprocess).items() if v})
        if given.preprocess
        else "",
        "parameters": _listed(given.parameters),
        "strict": "yes" if given.strict else "",
    }
    return [(name, value) for name, value in rows.items() if value]


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _columns(evaluation: Evaluation, rows: Sequence[Example]) -> list[str]:
    """Columns of the table of rows: those that any row fills."""
    judged = _judged(evaluation, rows)
    objects = evaluation.task in {Task.DETECTION, Task.INSTANCE_SEGMENTATION}
    has = {
        "annotated": any(each.annotated for each in rows),
        "predicted": any(each.predicted for each in rows),
        "confidence": any(each.predicted for each in rows),
        "of annotated": any(each.annotated for each in rows),
        "rank": any(each.rank for each in rows),
        "score": any(each.score is not None for each in rows),
        "missed": objects and judged,
        "extra": objects and judged,
        "correct": judged,
    }
    return [name for name, wanted in has.items() if wanted]


def _judged(evaluation: Evaluation, rows: Sequence[Example]) -> bool:
    """Whether anything is right or wrong: annotated, and of a task that has such."""
    return evaluation.task not in GRADED and any(each.correct is not None for each in rows)
