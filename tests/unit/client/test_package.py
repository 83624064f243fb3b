"""The package as a whole: its names, and that it stays thin."""

import subprocess
import sys

import pellucid
from pellucid import (
    client,
    comparisons,
    errors,
    evaluations,
    explanations,
    models,
    results,
    types,
    uploads,
)

GUARD = """
import sys
for name in ("openvino", "cv2", "pydantic", "pellucid_server", "jinja2", "vl_convert"):
    sys.modules[name] = None
import pellucid, pellucid.aio, pellucid.draw, pellucid.cli, pellucid.report
import pellucid.v1.inference_pb2
"""

LIGHT = """
import sys
import pellucid
assert "typer" not in sys.modules and "rich" not in sys.modules
"""


def test_all_names_exist_and_are_sorted() -> None:
    assert all(hasattr(pellucid, name) for name in pellucid.__all__)
    assert pellucid.__all__ == sorted(pellucid.__all__)


def test_all_public_classes_are_exported() -> None:
    """Every public class of the public modules, but the unions and aliases among them."""
    modules = (
        client,
        comparisons,
        errors,
        evaluations,
        explanations,
        models,
        results,
        types,
        uploads,
    )
    public = {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert public <= set(pellucid.__all__)


def test_nothing_but_the_declared_names_is_public() -> None:
    public = {name for name in vars(pellucid) if not name.startswith("_")}
    modules = {
        "cli",
        "client",
        "comparisons",
        "errors",
        "evaluations",
        "explanations",
        "models",
        "report",
        "results",
        "types",
        "uploads",
        "v1",
    }
    assert public - modules <= set(pellucid.__all__)


def test_the_client_needs_no_runtime() -> None:
    subprocess.run([sys.executable, "-c", GUARD], check=True)


def test_the_library_does_not_load_the_command_line() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
