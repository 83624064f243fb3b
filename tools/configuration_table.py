"""Writes docs/configuration.md from the settings; --check only says whether it is current."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pellucid_server.command_line import Setting, every_setting
from pellucid_server.config import Settings

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
MARK = "<!-- Written by tools/configuration_table.py: edit the settings' docstrings instead. -->\n"
HEAD = "| Setting | Variable | Flag | Default | Meaning |\n|---|---|---|---|---|\n"


def tables() -> Iterator[str]:
    """A table for each section."""
    for section, settings in groupby(every_setting(), key=lambda setting: setting.section):
        rows = list(settings)
        name = "Server" if section is Settings else f"`{rows[0].place}`"
        yield f"\n### {name}\n{section.__doc__}\n\n{HEAD}{''.join(map(row, rows))}"


def row(setting: Setting) -> str:
    """One setting."""
    meaning = setting.meaning
    if setting.choices:
        meaning = f"{meaning} One of {', '.join(f'`{choice}`' for choice in setting.choices)}."
    names = (setting.name, setting.variable, setting.flag, setting.default)
    return f"| {' | '.join(f'`{name}`' for name in names)} | {meaning} |\n"


def page(current: str) -> str:
    """The page with its tables made anew."""
    return current.split(MARK, maxsplit=1)[0] + MARK + "".join(tables())


def main() -> None:
    """Writes the page, or checks it."""
    current = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if page(current) == current else "run: python tools/configuration_table.py")
    PAGE.write_text(page(current), encoding="utf-8")


if __name__ == "__main__":
    main()
