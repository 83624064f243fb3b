"""`pellucid health`."""

from typing import Annotated

import typer

from pellucid import Health, NotFoundError
from pellucid.cli.app import app
from pellucid.cli.console import FAILED, print_json
from pellucid.cli.session import Session


@app.command()
def health(
    ctx: typer.Context,
    service: Annotated[str, typer.Option(help="A service; none: the whole server.")] = "",
) -> None:
    """Say whether the server is serving; exit code 0 where it is, so that probes can use it."""
    session: Session = ctx.obj
    with session.client() as client:
        try:
            found = client.health(service)
        except NotFoundError as error:
            raise NotFoundError(f"the server has no service {service!r}") from error
    if session.json:
        print_json({"service": service, "status": found.value})
    else:
        typer.echo(found.value.replace("_", " "))
    if found is not Health.SERVING:
        raise typer.Exit(FAILED)
