"""The command line: `pellucid`, one file a command."""

from pellucid.cli import (
    compare,
    evaluate,
    evaluations,
    explain,
    health,
    methods,
    models,
    optimize,
    predict,
)
from pellucid.cli.app import app

__all__ = [
    "app",
    "compare",
    "evaluate",
    "evaluations",
    "explain",
    "health",
    "main",
    "methods",
    "models",
    "optimize",
    "predict",
]


def main() -> None:
    """Runs the command line."""
    app(prog_name="pellucid")
