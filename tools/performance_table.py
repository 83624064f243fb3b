"""Writes the figures of docs/performance.md from benchmarks/results.json; --check only compares."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results.json"
BEGIN = "<!-- Written by tools/performance_table.py from benchmarks/results.json. -->\n"
END = "<!-- The end of the figures. -->\n"
HEAD = "| name | value | low | high | unit |\n|---|--:|--:|--:|---|\n"


def figure(value: float | None) -> str:
    """Three digits."""
    return "" if value is None else f"{value:.3g}"


def row(entry: dict[str, Any]) -> str:
    """One name."""
    figures = (figure(entry[key]) for key in ("value", "low", "high"))
    return f"| `{entry['name']}` | {' | '.join(figures)} | {entry['unit']} |\n"


def page(current: str) -> str:
    """The page with its figures made anew."""
    before, rest = current.split(BEGIN, maxsplit=1)
    _, after = rest.split(END, maxsplit=1)
    entries = json.loads(RESULTS.read_text(encoding="utf-8"))
    return f"{before}{BEGIN}{HEAD}{''.join(map(row, entries))}{END}{after}"


def main() -> None:
    """Writes the page, or checks it."""
    current = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if page(current) == current else "run: python tools/performance_table.py")
    PAGE.write_text(page(current), encoding="utf-8")


if __name__ == "__main__":
    main()
