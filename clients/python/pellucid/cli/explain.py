"""`pellucid explain`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pellucid import (
    Client,
    Explanation,
    Overlay,
    PellucidError,
    UnauthenticatedError,
    UnavailableError,
)
from pellucid._transport.calls import STREAM_TIMEOUT
from pellucid.cli import documents
from pellucid.cli.app import app
from pellucid.cli.artifacts import Maps, write
from pellucid.cli.console import out, print_json, report
from pellucid.cli.files import Source
from pellucid.cli.flags import assignment
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
    top_k: Annotated[
        int, typer.Option(min=0, help="Without targets: explain the most likely classes.")
    ] = 1,
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
    """Explain images: which of their pixels speak for a class. Writes maps and pictures."""
    session: Session = ctx.obj
    parameters = dict(map(assignment, param or []))
    named = {"num_masks": masks, "seed": seed}
    parameters |= {name: value for name, value in named.items() if value is not None}
    images = images_of([*(inputs or []), *(input or [])])
    with session.client() as client:
        request = {
            "model": model,
            "version": model_version,
            "targets": _targets(client, model, target or []),
            "top_k": top_k,
            "method": method,
            "overlay": Overlay(color_map, opacity) if overlay else False,
            "timeout": session.stream_timeout(STREAM_TIMEOUT),
            **parameters,
        }
        job = Job(session, client, request, output, maps)
        failures = job.run(images)
    finish(failures, len(images))


def _targets(client: Client, model: str, targets: Sequence[str]) -> list[str | int]:
    """Labels stay labels, digits among them; other digits are class indices."""
    labels = client.model(model).labels if any(map(str.isdecimal, targets)) else ()
    return [int(each) if each.isdecimal() and each not in labels else each for each in targets]


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
        (found.target.name, percent(found.target.confidence), "\n".join(map(str, paths)))
        for found, paths in files
    ]
    first = files[0][0]
    cost = f"{first.evaluations:,} evaluations, {first.elapsed:.1f} s"
    title = f"{source.path}: {first.method}, {cost}"
    return table(title, ("class", "confidence", "files"), rows)
