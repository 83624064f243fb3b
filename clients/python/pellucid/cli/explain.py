"""`pellucid explain`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pellucid import (
    Box,
    Client,
    Explanation,
    Overlay,
    PellucidError,
    Target,
    UnauthenticatedError,
    UnavailableError,
)
from pellucid._transport.calls import STREAM_TIMEOUT
from pellucid.cli import documents
from pellucid.cli.app import app
from pellucid.cli.artifacts import Maps, write
from pellucid.cli.console import out, print_json, report
from pellucid.cli.files import Source
from pellucid.cli.flags import assignment, parameters_of, rectangle
from pellucid.cli.progress import Watch
from pellucid.cli.run import finish, images_of
from pellucid.cli.session import Session
from pellucid.cli.tables import percent, table


@app.command()
def explain(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Images, folders of them, or patterns.")
    ] = None,
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Model, see `pellucid models`.")],
    model_version: Annotated[str, typer.Option(help="Its version; none: the default one.")] = "",
    input: Annotated[  # noqa: A002 - the flag's name
        list[str] | None, typer.Option("--input", "-i", help="As INPUTS; may be repeated.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the maps and the pictures.")
    ] = Path("explanations"),
    method: Annotated[str, typer.Option(help="Method, see `pellucid methods`.")] = "rise",
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Class or its index; repeatable.")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="What is in this box, of the --target where there is one; repeatable.",
            metavar="X,Y,X,Y",
        ),
    ] = None,
    detection: Annotated[
        list[int] | None,
        typer.Option(min=0, help="An object by its place in `predict`, from 0; repeatable."),
    ] = None,
    top_k: Annotated[
        int, typer.Option(min=0, help="Without targets: the most likely classes or objects.")
    ] = 1,
    threshold: Annotated[
        float | None, typer.Option(help="Least confidence of an object; binary segmentation: cut.")
    ] = None,
    style: Annotated[int | None, typer.Option(help="A trained style, from 0.")] = None,
    style_image: Annotated[Path | None, typer.Option(help="The image whose style to take.")] = None,
    hole: Annotated[
        list[str] | None,
        typer.Option(help="Rectangle to fill, in pixels; repeatable.", metavar="X,Y,X,Y"),
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Image whose bright pixels to fill.")] = None,
    tile_size: Annotated[
        int | None, typer.Option(help="Side of the tile around the boxes of a large image.")
    ] = None,
    masks: Annotated[int | None, typer.Option(help="How many masks: num_masks.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the masks.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="Another parameter; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Also draw the maps over the photos.")] = True,
    color_map: Annotated[
        str, typer.Option(help="viridis, inferno, magma, plasma, cividis, turbo.")
    ] = "inferno",
    opacity: Annotated[float, typer.Option(help="Of the map where it is highest.")] = 0.6,
    maps: Annotated[Maps, typer.Option(help="float32 arrays, 16-bit PNG, or both.")] = Maps.NPY,
) -> None:
    """Explain images: which of their pixels an answer rests on. Writes maps and pictures."""
    session: Session = ctx.obj
    parameters = dict(map(assignment, param or []))
    named = {"num_masks": masks, "seed": seed}
    parameters |= {name: value for name, value in named.items() if value is not None}
    flags = {
        "--threshold": threshold,
        "--style": style,
        "--style-image": style_image,
        "--hole": [rectangle(each) for each in hole or []],
        "--mask": mask,
        "--tile-size": tile_size,
    }
    boxes = [Box(*rectangle(each)) for each in box or []]
    images = images_of([*(inputs or []), *(input or [])])
    with session.client() as client:
        request = {
            "model": model,
            "version": model_version,
            "targets": _targets(_classes(client, model, target or []), boxes, detection or []),
            "task_parameters": _task_parameters(client, model, flags),
            "top_k": top_k,
            "method": method,
            "overlay": Overlay(color_map, opacity) if overlay else False,
            "timeout": session.stream_timeout(STREAM_TIMEOUT),
            **parameters,
        }
        job = Job(session, client, request, output, maps)
        failures = job.run(images)
    finish(failures, len(images))


def _classes(client: Client, model: str, names: Sequence[str]) -> list[Target]:
    """Labels stay labels, digits among them; other digits are class indices."""
    labels = client.model(model).labels if any(map(str.isdecimal, names)) else ()
    return [
        Target(class_id=int(each))
        if each.isdecimal() and each not in labels
        else Target(label=each)
        for each in names
    ]


def _targets(
    classes: Sequence[Target], boxes: Sequence[Box], detections: Sequence[int]
) -> list[Target]:
    """Classes, or the one class in each of the boxes, and objects.

    Raises:
        typer.BadParameter: boxes of several classes.
    """
    if boxes and len(classes) > 1:
        raise typer.BadParameter("give one --target for the boxes, or none", param_hint="--box")
    kind = classes[0] if classes else Target()
    placed = [replace(kind, box=each) for each in boxes]
    return [*(placed or classes), *(Target(detection=each) for each in detections)]


def _task_parameters(client: Client, model: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    if all(value is None or value == [] for value in flags.values()):
        return {}
    return parameters_of(flags, model, client.model(model).task)


Files = list[tuple[Explanation, list[Path]]]
"""The explanations of an image, each with the files written of it."""


@dataclass(frozen=True)
class Job:
    """One run of the command: what is asked for every image, and where the answers go."""

    session: Session
    client: Client
    request: Mapping[str, Any]
    folder: Path
    maps: Maps

    def run(self, images: Sequence[Source]) -> list[Exception]:
        """Explains the images one after another; what went wrong."""
        failures: list[Exception] = []
        with Watch(len(images), enabled=not self.session.quiet) as watch:
            for source in images:
                watch.begin(str(source.path))
                outcome = self._explain(source, watch)
                watch.end()
                with watch.hidden():
                    self._show(source, outcome)
                if isinstance(outcome, Exception):
                    failures.append(outcome)
        return failures

    def _explain(self, source: Source, watch: Watch) -> Files | Exception:
        try:
            stream = self.client.explain(source.path, **self.request)
            found = stream.results(watch.advance)
            stem = self.folder / source.name
            return [(each, write(each, stem, found, self.maps)) for each in found]
        except (UnavailableError, UnauthenticatedError):
            raise  # the next image would fare no better
        except (PellucidError, OSError) as error:
            return error

    def _show(self, source: Source, outcome: Files | Exception) -> None:
        if self.session.json:
            print_json({"input": str(source.path)} | _document(outcome))
        if isinstance(outcome, Exception):
            report(outcome, of=str(source.path))
        elif not self.session.json:
            out().print(_table(source, outcome))


def _document(outcome: Files | Exception) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        return documents.error(outcome)
    explained = [
        documents.explanation(found) | {"files": list(map(str, files))} for found, files in outcome
    ]
    return {"explanations": explained}


def _table(source: Source, files: Files) -> Table:
    rows = [
        (_name(found), _confidence(found), "\n".join(map(str, paths))) for found, paths in files
    ]
    first = files[0][0]
    cost = f"{first.evaluations:,} evaluations, {first.elapsed:.1f} s"
    title = f"{source.path}: {first.method}, {cost}"
    return table(title, ("target", "confidence", "files"), rows)


def _name(found: Explanation) -> str:
    place = f" at {','.join(f'{edge:.0f}' for edge in found.box)}" if found.box else ""
    return f"{found.target.name}{place}"


def _confidence(found: Explanation) -> str:
    """In percent; a number of a regression as it is."""
    value = found.target.confidence
    return percent(value) if 0 <= value <= 1 else f"{value:.4g}"
