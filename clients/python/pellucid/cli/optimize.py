"""`pellucid optimize`."""

from typing import Annotated

import typer

from pellucid._transport.calls import STREAM_TIMEOUT
from pellucid.cli import documents
from pellucid.cli.app import app
from pellucid.cli.bars import Bar
from pellucid.cli.console import note, out, print_json
from pellucid.cli.evaluating import placed
from pellucid.cli.session import Session
from pellucid.cli.tables import facts
from pellucid.models import ModelVersion


@app.command()
def optimize(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Model, see `pellucid models`.")],
    *,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="Calibration set, annotated or not.")
    ] = "",
    model_version: Annotated[str, typer.Option(help="Its version; none: the default one.")] = "",
    fp16: Annotated[bool, typer.Option("--fp16", help="Only compress the weights.")] = False,
    max_drop: Annotated[
        float | None, typer.Option(min=0, help="Greatest loss of the main metric, annotated sets.")
    ] = None,
    preset: Annotated[str, typer.Option(help="performance or mixed.")] = "",
    calibration_size: Annotated[int, typer.Option(min=0, help="Images; 0: 300.")] = 0,
    format: Annotated[str, typer.Option("--format", help="Of the data set.")] = "",  # noqa: A002 - the flag's name
    upload: Annotated[
        bool | None, typer.Option(help="Send the data set; default: where it is a path here.")
    ] = None,
) -> None:
    """Quantise a model to INT8, or compress it to FP16; the result is a new version."""
    session: Session = ctx.obj
    if not fp16 and not dataset:
        raise typer.BadParameter("INT8 needs images to calibrate with", param_hint="--dataset")
    with session.client() as client:
        client.model(model)  # a wrong name is told before a long upload
        stream = client.optimize(
            model,
            dataset=placed(session, client, dataset, upload) if dataset else "",
            kind="fp16" if fp16 else "int8",
            version=model_version,
            format=format,
            max_accuracy_drop=max_drop,
            calibration_size=calibration_size,
            preset=preset,
            timeout=session.stream_timeout(STREAM_TIMEOUT),
        )
        with Bar(enabled=not session.quiet) as bar:
            version = stream.result(bar.optimization)
    _show(session, model, version)


def _show(session: Session, model: str, version: ModelVersion) -> None:
    if session.json:
        print_json(documents.version(version), indent=2)
        return
    made = version.lineage
    rows = [
        ("made of", f"version {made.parent_version}" if made else ""),
        ("by", made.optimization if made else ""),
        *((made.settings if made else {}).items()),
        ("precision", version.precision),
        ("size", f"{version.size_bytes / 1e6:.1f} MB" if version.size_bytes else ""),
        ("state", version.state),
        ("reason", version.reason),
    ]
    out().print(facts(f"{model} version {version.version}", rows))
    if not session.quiet:
        parent = f"{model}:{made.parent_version}" if made else model
        note(f"compare it: pellucid compare {parent} {model}:{version.version} --dataset ...")
