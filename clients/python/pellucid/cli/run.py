"""What the commands that take many images share."""

from collections.abc import Sequence

import typer

from pellucid.cli.console import FAILED, exit_code, note
from pellucid.cli.files import Source, sources


def images_of(arguments: Sequence[str]) -> list[Source]:
    """The images of files, folders and patterns.

    Raises:
        typer.BadParameter: there are none.
    """
    images = sources(arguments)
    if not images:
        where = ", ".join(arguments)
        raise typer.BadParameter(f"no images in {where}" if where else "no images given")
    return images


def finish(failures: Sequence[Exception], total: int) -> None:
    """Ends with the exit code that stands for what failed."""
    if not failures:
        return
    if total == 1:
        raise typer.Exit(exit_code(failures[0]))
    note(f"{len(failures)} of {total} images failed")
    raise typer.Exit(FAILED)
