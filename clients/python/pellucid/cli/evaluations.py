"""`pellucid evaluations`."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli import evaluation_documents, evaluation_tables
from pellucid.cli.app import app
from pellucid.cli.console import note, out, print_json
from pellucid.cli.evaluating import follow, make_folders, options_of, outputs_of, written
from pellucid.cli.session import Session
from pellucid.errors import FailedPreconditionError

group = typer.Typer(
    help="Evaluations: list, show, watch, cancel, delete them, and look at their rows.",
    no_args_is_help=True,
)
app.add_typer(group, name="evaluations")

Name = Annotated[str, typer.Argument(help="Name of an evaluation.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as one page.")]
Csv = Annotated[Path | None, typer.Option(help="Write the rows, one an image.")]
Coco = Annotated[Path | None, typer.Option(help="Write detected objects in COCO's format.")]
CocoIds = Annotated[
    Path | None, typer.Option(help="COCO annotations here: take their ids, write results alone.")
]


@group.command("list")
def list_evaluations(
    ctx: typer.Context,
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Only of this model.")] = "",
    state: Annotated[
        str, typer.Option(help="pending, running, succeeded, failed or cancelled.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List evaluations, newest first."""
    session: Session = ctx.obj
    with session.client() as client:
        found = list(islice(client.evaluations(model, state), limit))
    if session.json:
        print_json([evaluation_documents.evaluation(each) for each in found], indent=2)
    else:
        out().print(evaluation_tables.evaluations(found))


@group.command()
def show(
    ctx: typer.Context,
    name: Name,
    *,
    html: Html = None,
    csv: Csv = None,
    coco: Coco = None,
    coco_ids: CocoIds = None,
) -> None:
    """Show an evaluation and its report; write it as a page or as rows."""
    session: Session = ctx.obj
    outputs = outputs_of(html, csv, coco, coco_ids)
    with session.client() as client:
        found = client.evaluation(name)
        if found.report is not None:
            outputs.show(session, client, found, found.report)
        elif html or csv or coco:
            raise FailedPreconditionError(f"{name} is {found.state}: there is no report of it")
        elif session.json:
            print_json(evaluation_documents.evaluation(found), indent=2)
        else:
            out().print(evaluation_tables.evaluations([found]))
            if found.reason:
                note(found.reason)


@group.command()
def watch(
    ctx: typer.Context,
    name: Name,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let one that failed or was cancelled go on.")
    ] = False,
    html: Html = None,
    csv: Csv = None,
    coco: Coco = None,
    coco_ids: CocoIds = None,
) -> None:
    """Join a running evaluation. Ctrl-C leaves it running."""
    session: Session = ctx.obj
    outputs = outputs_of(html, csv, coco, coco_ids)
    with session.client() as client:
        stream = client.watch_evaluation(name, resume=resume, **options_of(session))
        evaluation, report = follow(session, stream)
        outputs.show(session, client, evaluation, report)


@group.command()
def cancel(ctx: typer.Context, name: Name) -> None:
    """Stop an evaluation; its rows so far stay."""
    session: Session = ctx.obj
    with session.client() as client:
        found = client.cancel_evaluation(name)
    if session.json:
        print_json(evaluation_documents.evaluation(found), indent=2)
    else:
        out().print(evaluation_tables.evaluations([found]))


@group.command()
def delete(ctx: typer.Context, names: Annotated[list[str], typer.Argument(help="Names.")]) -> None:
    """Delete evaluations that do not run, with their rows."""
    session: Session = ctx.obj
    with session.client() as client:
        for name in names:
            client.delete_evaluation(name)
            if not session.quiet:
                note(f"deleted {name}")


@group.command()
def examples(
    ctx: typer.Context,
    name: Name,
    *,
    wrong: Annotated[bool, typer.Option("--wrong", help="Only wrong predictions.")] = False,
    bad: Annotated[bool, typer.Option("--bad", help="Annotations that cannot be used.")] = False,
    annotated: Annotated[str, typer.Option(help="Only images annotated so.")] = "",
    predicted: Annotated[str, typer.Option(help="Only images predicted as this.")] = "",
    min_confidence: Annotated[float | None, typer.Option(help="Least confidence.")] = None,
    max_confidence: Annotated[float | None, typer.Option(help="Greatest confidence.")] = None,
    min_rank: Annotated[
        int, typer.Option(min=0, help="The annotated class at this place or further down.")
    ] = 0,
    sort: Annotated[str, typer.Option(help="dataset, confidence, rank or score.")] = "dataset",
    descending: Annotated[bool, typer.Option("--descending", help="Largest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
) -> None:
    """List rows of an evaluation: what the model said of each image."""
    session: Session = ctx.obj
    with session.client() as client:
        rows = client.examples(
            name,
            erroneous=wrong,
            bad_annotations=bad,
            annotated=annotated,
            predicted=predicted,
            min_confidence=min_confidence,
            max_confidence=max_confidence,
            min_rank=min_rank,
            order=sort,
            descending=descending,
            page_size=min(limit, 1000),
        )
        found = list(islice(rows, limit))
    if session.json:
        for each in found:
            print_json(evaluation_documents.example(each))
    else:
        out().print(evaluation_tables.examples(f"{name}: {len(found)} rows", found))


@group.command()
def render(
    ctx: typer.Context,
    name: Name,
    index: Annotated[int, typer.Argument(min=0, help="The row's index.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JPEG to write.")],
    max_side: Annotated[int, typer.Option(min=0, help="Longer side in pixels; 0: as it is.")] = 0,
    explanation: Annotated[
        bool, typer.Option("--explanation", help="Draw the importance map too.")
    ] = False,
) -> None:
    """Draw a row: its prediction beside its annotation."""
    session: Session = ctx.obj
    make_folders(output)
    with session.client() as client:
        found = client.render_example(name, index, max_side=max_side, explanation=explanation)
    output.write_bytes(found.data)
    written(session, output)
