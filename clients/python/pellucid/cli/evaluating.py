"""What the commands about evaluations share: sending data sets, following, and what is written."""

import re
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import typer

from pellucid import Client, EvaluationStream
from pellucid import report as pages
from pellucid.cli import evaluation_documents, evaluation_tables
from pellucid.cli.bars import Bar
from pellucid.cli.coco import CocoIds, read_ids, write_coco
from pellucid.cli.console import INTERRUPTED, note, out, print_json
from pellucid.cli.session import Session
from pellucid.evaluations import Evaluation, EvaluationProgress, EvaluationReport, Subset

FIRST_BAD = 5
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|file:")


def need_report(html: Path | None) -> None:
    """Says before the work begins that a page cannot be written.

    Raises:
        typer.BadParameter: the extra is not installed.
    """
    if html is None:
        return
    try:
        pages.require()
    except ImportError as error:
        raise typer.BadParameter(str(error), param_hint="--html") from None


def placed(session: Session, client: Client, dataset: str, upload: bool | None) -> str:  # noqa: FBT001 - a flag, passed on
    """The data set's name for the server: what is here is sent, unless told otherwise."""
    local = not _SCHEME.match(dataset) and Path(dataset).exists()
    if not (local if upload is None else upload):
        return dataset
    try:
        with Bar(enabled=not session.quiet) as bar:
            sent = client.upload_dataset(dataset, progress=bar.upload)
    except KeyboardInterrupt:
        note("interrupted: the same command goes on where the upload stopped")
        raise typer.Exit(INTERRUPTED) from None
    if not session.quiet:
        note(f"sent {dataset} ({sent.files:,} files) as {sent.name}")
    return sent.name


def follow(session: Session, stream: EvaluationStream) -> tuple[Evaluation, EvaluationReport]:
    """Draws progress until the report is there; an interrupt leaves the evaluation running."""
    name = ""
    try:
        with Bar(enabled=not session.quiet) as bar:
            for event in stream:
                if isinstance(event, EvaluationReport):
                    break
                if isinstance(event, EvaluationProgress):
                    bar.evaluation(event)
                else:
                    name = event.name
                    bar.say(f"evaluating {event.model}")
        return stream.accepted(), event  # type: ignore[return-value] # it ends with a report, or raises
    except KeyboardInterrupt:
        stream.close()
        if name:
            note(f"the evaluation goes on: pellucid evaluations watch {name}")
        raise typer.Exit(INTERRUPTED) from None


def make_folders(*paths: Path | None) -> None:
    """Makes the folders of files that will be written, before the work."""
    for path in paths:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)


def outputs_of(
    html: Path | None, csv: Path | None, coco: Path | None, ids: Path | None
) -> "Outputs":
    """What the flags ask to be written; what it needs is looked at before the work.

    Raises:
        typer.BadParameter: something is missing; OSError, ValueError: the file of ids.
    """
    need_report(html)
    make_folders(html, csv, coco)
    if ids is not None and coco is None:
        raise typer.BadParameter("for what? give --coco too", param_hint="--coco-ids")
    return Outputs(html, csv, coco, read_ids(ids) if ids else None)


@dataclass(frozen=True)
class Outputs:
    """What is written of a finished evaluation, beside what is printed."""

    html: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    ids: CocoIds | None = None

    def show(
        self, session: Session, client: Client, evaluation: Evaluation, report: EvaluationReport
    ) -> None:
        """Prints the report, and writes the files."""
        name = evaluation.name
        if session.json:
            print_json(evaluation_documents.evaluation(evaluation, report), indent=2)
        else:
            bad = client.examples(name, bad_annotations=True, page_size=FIRST_BAD)
            first = list(islice(bad, FIRST_BAD)) if report.bad_annotations else []
            for table in evaluation_tables.report(evaluation, report, first):
                out().print(table)
        self._write(session, client, name)
        if not session.quiet and not session.json:
            note(f"evaluation {name}")

    def _write(self, session: Session, client: Client, name: str) -> None:
        if self.csv is not None:
            rows = client.examples(name, page_size=1000)
            bad = client.examples(name, page_size=1000, bad_annotations=True)
            evaluation_documents.write_csv(self.csv, chain(rows, bad))
            written(session, self.csv)
        if self.coco is not None:
            write_coco(self.coco, client.examples(name, page_size=1000, objects=True), self.ids)
            written(session, self.coco)
        if self.html is not None:
            with Bar(enabled=not session.quiet) as bar:
                bar.say("drawing the page")
                page = pages.evaluation_page(client, name)
            self.html.write_text(page, "utf-8")
            written(session, self.html)


def written(session: Session, path: Path) -> None:
    """Says that a file was written."""
    if not session.quiet:
        note(f"saved {path}")


def subset_of(size: int, seed: int | None, *, random: bool, per_class: bool) -> Subset | None:
    """The subset that the flags ask for.

    Raises:
        typer.BadParameter: they make no sense without a size.
    """
    if size:
        return Subset(size, random or seed is not None, seed or 0, per_class)
    if random or per_class or seed is not None:
        raise typer.BadParameter("how many images? give --subset too", param_hint="--subset")
    return None


def pairs(texts: list[str] | None, hint: str) -> dict[str, str]:
    """Texts of `name=value`.

    Raises:
        typer.BadParameter: no name or no `=`.
    """
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r} is not name=value", param_hint=hint)
        found[name] = value
    return found


def numbers(text: str, hint: str) -> tuple[float, ...]:
    """Numbers with commas between them.

    Raises:
        typer.BadParameter: something else.
    """
    try:
        return tuple(map(float, text.split(","))) if text else ()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not numbers: 1,2,3", param_hint=hint) from None


def options_of(session: Session) -> dict[str, Any]:
    """Settings of a stream: no limit of time but the one that was given."""
    return {} if session.timeout is None else {"timeout": session.timeout}
