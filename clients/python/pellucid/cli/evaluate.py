"""`pellucid evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid import Preprocess
from pellucid.cli.app import app
from pellucid.cli.evaluating import (
    follow,
    numbers,
    options_of,
    outputs_of,
    pairs,
    placed,
    subset_of,
)
from pellucid.cli.session import Session


@app.command()
def evaluate(
    ctx: typer.Context,
    dataset: Annotated[
        str, typer.Argument(help="Folder, zip or tar; or a URI or name that the server knows.")
    ],
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Model, see `pellucid models`.")],
    model_version: Annotated[str, typer.Option(help="Its version; none: the default one.")] = "",
    format: Annotated[  # noqa: A002 - the flag's name
        str, typer.Option("--format", help="imagenet, coco, voc, csv, ...; none: found by itself.")
    ] = "",
    subset: Annotated[int, typer.Option(min=0, help="At most so many images; 0: all.")] = 0,
    random: Annotated[bool, typer.Option("--random", help="Draw the subset at random.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw; implies --random.")] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="So many images of every class.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first wrong annotation.")
    ] = False,
    metric: Annotated[
        list[str] | None, typer.Option(help="A metric; repeatable. None: the task's.")
    ] = None,
    label_map: Annotated[
        list[str] | None,
        typer.Option(help="Class of the data set = class of the model.", metavar="NAME=NAME"),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Confidence from which an object counts as predicted.")
    ] = None,
    batch: Annotated[int, typer.Option(min=0, help="Images of one inference.")] = 0,
    resize: Annotated[str, typer.Option(help="stretch, letterbox or crop.")] = "",
    color: Annotated[str, typer.Option(help="RGB, BGR or GRAY.")] = "",
    mean: Annotated[str, typer.Option(help="Subtracted from the channels.", metavar="R,G,B")] = "",
    scale: Annotated[str, typer.Option(help="Divides the channels.", metavar="R,G,B")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="Of the format or a metric.", metavar="NAME=VALUE"),
    ] = None,
    upload: Annotated[
        bool | None, typer.Option(help="Send the data set; default: where it is a path here.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the rows, one an image.")] = None,
    coco: Annotated[
        Path | None, typer.Option(help="Write detected objects in COCO's format.")
    ] = None,
    coco_ids: Annotated[
        Path | None,
        typer.Option(help="COCO annotations here: take their ids, write results alone."),
    ] = None,
) -> None:
    """Evaluate a model on a data set. Ctrl-C leaves it running."""
    session: Session = ctx.obj
    outputs = outputs_of(html, csv, coco, coco_ids)
    preprocess = Preprocess(resize, color, numbers(mean, "--mean"), numbers(scale, "--scale"))
    part = subset_of(subset, seed, random=random, per_class=per_class)
    labels, parameters = pairs(label_map, "--label-map"), pairs(param, "--param")
    with session.client() as client:
        client.model(model)  # a wrong name is told before a long upload
        stream = client.evaluate(
            placed(session, client, dataset, upload),
            model=model,
            version=model_version,
            format=format,
            subset=part,
            metrics=metric or (),
            label_map=labels,
            strict=strict,
            threshold=threshold,
            batch=batch,
            preprocess=None if preprocess == Preprocess() else preprocess,
            parameters=parameters,
            **options_of(session),
        )
        evaluation, report = follow(session, stream)
        outputs.show(session, client, evaluation, report)
