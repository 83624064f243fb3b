"""`pellucid predict`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pellucid import Client, PellucidError, UnauthenticatedError, UnavailableError
from pellucid.cli import documents, tables
from pellucid.cli.app import app
from pellucid.cli.console import note, out, print_json, report
from pellucid.cli.files import Source, slug
from pellucid.cli.flags import parameters_of, rectangle
from pellucid.cli.run import finish, images_of
from pellucid.cli.session import Session
from pellucid.draw import annotate
from pellucid.results import AnyResult, ImageResult, RawResult, RegressionResult

_AT_ONCE = 4
_PATIENCE = 0.2


@app.command()
def predict(
    ctx: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="Images, folders of them, or patterns.")],
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Model, see `pellucid models`.")],
    model_version: Annotated[str, typer.Option(help="Its version; none: the default one.")] = "",
    top_k: Annotated[
        int | None, typer.Option(help="How many classes, or at most how many objects.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least confidence, in [0, 1]; binary segmentation: cut.")
    ] = None,
    iou: Annotated[float | None, typer.Option(help="Overlap from which boxes merge.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only objects of this class; may be repeated.")
    ] = None,
    style: Annotated[int | None, typer.Option(help="A trained style, from 0.")] = None,
    style_image: Annotated[Path | None, typer.Option(help="The image whose style to take.")] = None,
    hole: Annotated[
        list[str] | None,
        typer.Option(help="Rectangle to fill, in pixels; may be repeated.", metavar="X,Y,X,Y"),
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Image whose bright pixels to fill.")] = None,
    tile_size: Annotated[int | None, typer.Option(help="Enlarge in tiles of this side.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for pictures: what was found drawn on the photo.")
    ] = None,
) -> None:
    """Predict images with a model."""
    session: Session = ctx.obj
    flags = {
        "--top-k": top_k,
        "--threshold": threshold,
        "--iou": iou,
        "--label": label,
        "--style": style,
        "--style-image": style_image,
        "--hole": [rectangle(each) for each in hole or []],
        "--mask": mask,
        "--tile-size": tile_size,
    }
    images = images_of(inputs)
    with session.client() as client:
        parameters = parameters_of(flags, model, client.model(model).task)
        request = {"model": model, "version": model_version, **parameters}
        failures = [
            error
            for source, outcome in _outcomes(client, images, request)
            if (error := _show(session, source, outcome, save))
        ]
    finish(failures, len(images))


Outcome = AnyResult | Exception


def _outcomes(
    client: Client, images: list[Source], request: dict[str, Any]
) -> Iterator[tuple[Source, Outcome]]:
    """The outcomes in the order of the images, of which a few are on their way at once."""

    def one(source: Source) -> Outcome:
        try:
            return client.predict(source.path, **request)
        except (UnavailableError, UnauthenticatedError):
            raise  # the next image would fare no better
        except (PellucidError, OSError) as error:
            return error

    workers = ThreadPoolExecutor(_AT_ONCE)
    try:
        futures = [workers.submit(one, image) for image in images]
        for image, future in zip(images, futures, strict=True):
            # Short waits: an interrupt that another thread receives does not end a long one.
            while not wait([future], _PATIENCE).done:
                pass
            yield image, future.result()
    finally:
        workers.shutdown(wait=False, cancel_futures=True)  # what runs ends with the client


def _show(
    session: Session, source: Source, outcome: Outcome, folder: Path | None
) -> Exception | None:
    """Prints and saves an outcome; the error, where it is one."""
    title = str(source.path)
    saved: Path | None = None
    try:
        if isinstance(outcome, Exception):
            raise outcome
        saved = _save(source, outcome, folder) if folder else None
    except (PellucidError, OSError) as error:
        if session.json:
            print_json({"input": title} | documents.error(error))
        report(error, of=title)
        return error
    if session.json:
        extra = {"saved": str(saved)} if saved else {}
        print_json({"input": title} | documents.prediction(outcome) | extra)
        return None
    out().print(tables.prediction(title, outcome))
    if saved and not session.quiet:
        note(f"saved {saved}")
    return None


def _save(source: Source, result: AnyResult, folder: Path) -> Path:
    stem = folder / source.name.with_name(f"{source.name.name}.{slug(result.model)}")
    stem.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(result, RawResult | RegressionResult):
        path = stem.with_name(f"{stem.name}.npz")
        numbers = result.outputs if isinstance(result, RawResult) else {"values": result.values}
        arrays: dict[str, Any] = {slug(name): each for name, each in numbers.items()}
        np.savez_compressed(path, **arrays)
        return path
    if isinstance(result, ImageResult):
        path = stem.with_name(f"{stem.name}.{result.media_type.rpartition('/')[2]}")
        path.write_bytes(result.data)
        return path
    path = stem.with_name(f"{stem.name}.png")
    annotate(source.path, result).save(path)
    return path
