"""`pellucid models`."""

from typing import Annotated

import typer

from pellucid.cli import documents
from pellucid.cli.app import app
from pellucid.cli.console import out, print_json
from pellucid.cli.session import Session
from pellucid.cli.tables import facts, table
from pellucid.models import Model, ModelVersion, TensorInfo


@app.command()
def models(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A model; none: list all.")] = None,
) -> None:
    """List the models of the server, or describe one."""
    session: Session = ctx.obj
    with session.client() as client:
        found = [client.model(name)] if name else client.models()
    if session.json:
        described = [documents.model(each) for each in found]
        print_json(described[0] if name else described, indent=2)
    elif name:
        _describe(found[0])
    else:
        _list(found)


def _list(models: list[Model]) -> None:
    rows = [
        (each.name, each.task.words, _states(each), each.description or _reason(each))
        for each in models
    ]
    out().print(
        table(
            f"{len(models)} model{'' if len(models) == 1 else 's'}",
            ("name", "task", "versions", "description"),
            rows,
        )
    )


def _states(model: Model) -> str:
    return ", ".join(f"{each.version} {each.state}" for each in model.versions)


def _reason(model: Model) -> str:
    return next((each.reason for each in model.versions if each.reason), "")


def _describe(model: Model) -> None:
    rows = [
        ("task", model.task.words),
        ("description", model.description),
        ("aliases", ", ".join(model.aliases)),
        ("default version", model.default_version),
        ("labels", _labels(model.labels)),
    ]
    out().print(facts(model.name, rows))
    for version in model.versions:
        _describe_version(version)


def _labels(labels: tuple[str, ...]) -> str:
    first = ", ".join(labels[:5])
    return f"{len(labels)}: {first}{', ...' if len(labels) > 5 else ''}" if labels else ""


def _describe_version(version: ModelVersion) -> None:
    loaded = version.load_time.strftime("%Y-%m-%d %H:%M:%S UTC") if version.load_time else ""
    rows = [
        ("state", version.state),
        ("reason", version.reason),
        ("format", version.format),
        ("device", f"{version.device} {version.precision}".strip()),
        ("loaded", loaded),
        ("size", f"{version.size_bytes / 1e6:.1f} MB" if version.size_bytes else ""),
        ("made of", _lineage(version)),
        *(("input", _tensor(each)) for each in version.inputs),
        *(("output", _tensor(each)) for each in version.outputs),
        ("layers", _layers(version)),
    ]
    out().print(facts(f"version {version.version}", rows))


def _lineage(version: ModelVersion) -> str:
    made = version.lineage
    return f"version {made.parent_version}, {made.optimization}" if made else ""


def _tensor(tensor: TensorInfo) -> str:
    return f"{tensor.name}: {tensor.datatype} {_shape(tensor.shape)}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join("?" if extent < 0 else str(extent) for extent in shape)


def _layers(version: ModelVersion) -> str:
    if not version.layers:
        return ""
    default = next((each for each in version.layers if each.default), None)
    chosen = f"; default {default.name} ({default.operation})" if default else ""
    return f"{len(version.layers)} that can be explained{chosen} (all with --json)"
