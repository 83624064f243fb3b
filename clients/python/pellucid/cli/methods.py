"""`pellucid methods`."""

from typing import Annotated

import typer

from pellucid.cli import documents
from pellucid.cli.app import app
from pellucid.cli.console import out, print_json
from pellucid.cli.session import Session
from pellucid.cli.tables import table
from pellucid.models import Method, MethodParameter


@app.command()
def methods(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Only methods that serve this model.")
    ] = "",
) -> None:
    """List the methods of explanation with their parameters."""
    session: Session = ctx.obj
    with session.client() as client:
        found = client.methods(model)
    if session.json:
        print_json([documents.method(each) for each in found], indent=2)
        return
    for each in found:
        _describe(each)


def _describe(method: Method) -> None:
    rows = [
        (each.name, _value(each.default), _range(each), each.description)
        for each in method.parameters
    ]
    title = f"{method.name}: {method.description} ({method.reference})"
    out().print(table(title, ("parameter", "default", "range", "description"), rows))
    models = ", ".join(method.models) or "none of the loaded models"
    out().print(f"  serves {models}", markup=False)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(parameter: MethodParameter) -> str:
    if parameter.choices:
        return ", ".join(parameter.choices)
    low, high = _limit(parameter.minimum), _limit(parameter.maximum)
    if low and high:
        return f"{parameter.type} {low} to {high}"
    return f"{parameter.type} from {low}" if low else f"{parameter.type}{high and f' to {high}'}"


def _limit(value: float | None) -> str:
    """A limit; those of 64 bits are none to speak of."""
    return "" if value is None or abs(value) >= 2**62 else f"{value:,.16g}"
