"""The application: what all commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pellucid import Tls, __version__
from pellucid.cli.console import failing_readably
from pellucid.cli.session import Session

HELP = """Predictions, and the reasons for them, from a Pellucid server.

The options below may stand before the command or after it.

\b
Exit codes
  0    all went well; health: the server is serving
  1    an input failed (others went on), the server failed, or is not serving
  2    wrong usage
  3    nobody answers at the address
  4    the server refused the request: it says which field, and why
  5    the call took longer than --timeout
  6    the server is overloaded, or the input is too large for it
  130  interrupted
"""


class SharedOptionsAnywhere(TyperGroup):
    """Takes the shared options after the command too, and turns failures into exit codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        shared: dict[str, bool] = {
            name: bool(getattr(option, "is_flag", False))
            for option in self.params
            if not option.is_eager
            for name in option.opts
        }
        return super().parse_args(ctx, hoist(args, shared))

    def invoke(self, ctx: Any) -> Any:
        with failing_readably():
            return super().invoke(ctx)


def hoist(args: list[str], shared: dict[str, bool]) -> list[str]:
    """The arguments with the shared options first; `shared` says which of them are flags."""
    first: list[str] = []
    rest: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        if arg == "--":
            return [*first, *rest, arg, *remaining]
        name, equals, _ = arg.partition("=")
        if name not in shared:
            rest.append(arg)
            continue
        first.append(arg)
        if not shared[name] and not equals:
            first.extend(value for value in [next(remaining, None)] if value is not None)
    return [*first, *rest]


app = typer.Typer(
    cls=SharedOptionsAnywhere,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - Typer's callback
    if wanted:
        typer.echo(f"pellucid {__version__}")
        raise typer.Exit


@app.callback()
def shared(
    ctx: typer.Context,
    *,
    server: Annotated[
        str, typer.Option("--server", "-s", envvar="PELLUCID_SERVER", help="Where it listens.")
    ] = "localhost:8001",
    tls: Annotated[
        bool,
        typer.Option("--tls", envvar="PELLUCID_TLS", help="Encrypt; the four below imply it."),
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(envvar="PELLUCID_CA", help="PEM file of the authorities to trust."),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(envvar="PELLUCID_CERT", help="PEM file of your own certificate."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(envvar="PELLUCID_KEY", help="PEM file of its key.")
    ] = None,
    server_name: Annotated[
        str | None,
        typer.Option(
            envvar="PELLUCID_SERVER_NAME",
            help="Name in the server's certificate, where --server has another.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="PELLUCID_TOKEN",
            help="Bearer token; sent over TLS or locally. Other users of a machine see it in the "
            "list of processes: use the variable, or a file.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="PELLUCID_TOKEN_FILE", help="File of the token; wins over --token."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds for each call.", metavar="SECONDS")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Keeps what the options say for the command."""
    del version
    encrypted = tls or any((ca, cert, key, server_name))
    ctx.obj = Session(
        server=server,
        tls=Tls(ca, key, cert, server_name) if encrypted else None,
        token=token_file or (token and token.strip()),  # Secrets made of files end in a line break
        timeout=timeout,
        json=json,
        quiet=quiet,
    )
