"""The table that people read, and the file that programs read."""

import json
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from os import sched_getaffinity
from pathlib import Path

from rich.table import Table

from benchmarks.frame import Result

ROOT = Path(__file__).resolve().parent.parent


def table(results: Iterable[Result], title: str) -> Table:
    """One line for each name; those without a figure say why."""
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("name", no_wrap=True)
    for column in ("value", "low", "high"):
        drawn.add_column(column, justify="right")
    drawn.add_column("unit")
    for result in results:
        figures = (figure(value) for value in (result.value, result.low, result.high))
        unit = f"skipped: {result.skipped}" if result.skipped else result.unit
        drawn.add_row(result.name, *figures, unit)
    return drawn


def figure(value: float | None) -> str:
    """Three significant digits, and whole numbers from a hundred on."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def machine() -> str:
    """Where the figures come from: processor, cores, OpenVINO, commit."""
    cores = len(sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, OpenVINO {version('openvino')}, commit {_commit()}"


def save(results: Sequence[Result], path: Path) -> None:
    """Writes the results; those of other names that the file has stay."""
    measured = {result.name: _entry(result) for result in results}
    kept = [entry for entry in _read(path) if entry["name"] not in measured]
    entries = sorted([*kept, *measured.values()], key=lambda entry: str(entry["name"]))
    path.write_text(json.dumps(entries, indent=2) + "\n")


def _entry(result: Result) -> dict[str, object]:
    return {key: value for key, value in asdict(result).items() if key != "skipped"}


def _read(path: Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = json.loads(path.read_text()) if path.exists() else []
    return entries


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
