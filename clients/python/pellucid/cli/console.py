"""Printing: results to standard output, everything else to standard error."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from pellucid.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PellucidError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)

FAILED = 1
UNREACHABLE = 3
REFUSED = 4
LATE = 5
OVERLOADED = 6
INTERRUPTED = 130

EXIT_CODES: Mapping[type[PellucidError], int] = {
    UnavailableError: UNREACHABLE,
    InvalidArgumentError: REFUSED,
    NotFoundError: REFUSED,
    PermissionDeniedError: REFUSED,
    UnauthenticatedError: REFUSED,
    FailedPreconditionError: REFUSED,
    UnimplementedError: REFUSED,
    DeadlineExceededError: LATE,
    ResourceExhaustedError: OVERLOADED,
}
"""Those that are not 1."""


def out() -> Console:
    """Standard output as it is now: tests and pipes replace it."""
    return Console(highlight=False)


def err() -> Console:
    """Standard error as it is now."""
    return Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """A server's text without what could steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def print_json(document: Any, *, indent: int | None = None) -> None:
    """One document on standard output."""
    typer.echo(json.dumps(document, indent=indent, ensure_ascii=False))


def exit_code(error: Exception) -> int:
    """The exit code that stands for an error."""
    return EXIT_CODES.get(type(error), FAILED) if isinstance(error, PellucidError) else FAILED


def describe(error: Exception) -> str:
    """An error in one line: what, which field, and the id that finds it in the server's log."""
    if isinstance(error, PellucidError):
        field = f" [{error.field}]" if error.field else ""
        log = f" (request {error.request_id})" if exit_code(error) == FAILED else ""
        return printable(f"{error.message}{field}{log}")
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"{error.filename}: {error.strerror}")
    return printable(str(error))


def report(error: Exception, of: str = "") -> None:
    """An error on standard error, of an input where it is known."""
    text = describe(error)
    prefix = "" if text.startswith(of) else f"{printable(of)}: "
    line = Text.assemble(("error: ", "bold red"), prefix, text)
    err().print(line, soft_wrap=True)


def note(text: str) -> None:
    """A remark on standard error."""
    err().print(Text(printable(text)), soft_wrap=True)


@contextmanager
def failing_readably() -> Iterator[None]:
    """Turns what may fail into one line and an exit code."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe left: Typer ends in silence
    except (PellucidError, OSError, TypeError, ValueError) as error:
        report(error)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
