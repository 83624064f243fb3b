"""The command line: `pellucid`, one file a command."""

from pellucid.cli import explain, health, methods, models, predict
from pellucid.cli.app import app

__all__ = ["app", "explain", "health", "main", "methods", "models", "predict"]


def main() -> None:
    """Runs the command line."""
    app(prog_name="pellucid")
