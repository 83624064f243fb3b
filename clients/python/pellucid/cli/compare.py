"""`pellucid compare`."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid import Client, report
from pellucid._transport.calls import STREAM_TIMEOUT
from pellucid.cli import evaluation_documents, evaluation_tables
from pellucid.cli.app import app
from pellucid.cli.bars import Bar
from pellucid.cli.console import out, print_json
from pellucid.cli.evaluating import follow, make_folders, need_report, options_of, placed, written
from pellucid.cli.session import Session


@app.command()
def compare(
    ctx: typer.Context,
    baseline: Annotated[
        str, typer.Argument(help="Name of an evaluation; with --dataset: MODEL or MODEL:VERSION.")
    ],
    candidate: Annotated[str, typer.Argument(help="What to compare with it.")],
    *,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="Evaluate two models on it first.")
    ] = "",
    format: Annotated[str, typer.Option("--format", help="Of the data set.")] = "",  # noqa: A002 - the flag's name
    upload: Annotated[
        bool | None, typer.Option(help="Send the data set; default: where it is a path here.")
    ] = None,
    explain: Annotated[
        int, typer.Option(min=0, help="Explain so many images with both, correlate the maps.")
    ] = 0,
    resamples: Annotated[int, typer.Option(min=0, help="Of the bootstrap; 0: 1,000.")] = 0,
    flips: Annotated[int, typer.Option(min=0, help="Changes to list; 0: 100.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write the comparison as one page.")] = None,
) -> None:
    """Compare two evaluations of one data set, or two models on one."""
    session: Session = ctx.obj
    need_report(html)
    make_folders(html)
    with session.client() as client:
        names = (baseline, candidate)
        if dataset:
            place = placed(session, client, dataset, upload)
            names = (
                _evaluated(session, client, baseline, place, format),
                _evaluated(session, client, candidate, place, format),
            )
        with Bar(enabled=not session.quiet) as bar:
            bar.say("comparing")
            found = client.compare_evaluations(
                *names,
                explained_images=explain,
                resamples=resamples,
                flips=flips,
                timeout=session.stream_timeout(STREAM_TIMEOUT),
            )
        if session.json:
            print_json(evaluation_documents.comparison(found), indent=2)
        else:
            for table in evaluation_tables.comparison(found):
                out().print(table)
        if html is not None:
            html.write_text(report.comparison_page(client, *names, found), "utf-8")
            written(session, html)


def _evaluated(session: Session, client: Client, model: str, dataset: str, kind: str) -> str:
    """The name of a new evaluation of MODEL or MODEL:VERSION."""
    name, _, version = model.partition(":")
    stream = client.evaluate(
        dataset, model=name, version=version, format=kind, **options_of(session)
    )
    return follow(session, stream)[0].name
