"""Writes the chart's table of values and parts of its schema; --check: are they current?

The table comes from the comments of values.yaml, the schema of `settings` and of `auth.policy`
from what the server reads.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from pellucid_server.config import Settings
from pellucid_server.rpc.access.policy import PolicyFile

CHART = Path(__file__).parent.parent / "deploy" / "helm" / "pellucid"
README, VALUES, SCHEMA = CHART / "README.md", CHART / "values.yaml", CHART / "values.schema.json"
MARK = "<!-- Written by tools/chart_documents.py: edit the comments of values.yaml instead. -->\n"
HEAD = "| Value | Default | Meaning |\n|---|---|---|\n"
KEY = re.compile(r"(?P<indent> *)(?P<name>\w+):")
NULL = {"type": "null"}
OPAQUE = ("title", "format", "default")
"""Of pydantic's schema: what says nothing to whoever writes values, or is the server's to say."""


@dataclass(frozen=True)
class Value:
    """A documented value: its dotted path, its default and what it means."""

    path: str
    default: Any
    meaning: str


def documented(text: str) -> Iterator[Value]:
    """The values that have a comment, in their order."""
    defaults, path, comment = yaml.safe_load(text), list[str](), list[str]()
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("# ") and comment:
            comment.append(stripped.removeprefix("# "))
        elif key := KEY.match(line):
            path[len(key["indent"]) // 2 :] = [key["name"]]
            if comment:
                yield Value(".".join(path), _at(defaults, path), " ".join(comment))
            comment = []


def undocumented(values: dict[str, Any], known: set[str], path: str = "") -> Iterator[str]:
    """The values that have no comment, nor one above them."""
    for name, value in values.items():
        here = f"{path}{name}"
        if here in known:
            continue
        if isinstance(value, dict) and value:
            yield from undocumented(value, known, f"{here}.")
        else:
            yield here


def table(values: str) -> str:
    """A row for each value."""
    rows = list(documented(values))
    if missing := list(undocumented(yaml.safe_load(values), {row.path for row in rows})):
        raise SystemExit(f"values.yaml says nothing about: {', '.join(missing)}")
    return HEAD + "".join(
        f"| `{row.path}` | `{json.dumps(row.default)}` | {row.meaning} |\n" for row in rows
    )


def page(current: str) -> str:
    """The page with its table made anew."""
    return current.split(MARK, maxsplit=1)[0] + MARK + "\n" + table(VALUES.read_text("utf-8"))


def schema(current: str) -> str:
    """The schema with its parts made anew."""
    whole = json.loads(current)
    whole["properties"]["settings"] = _of(Settings)
    whole["properties"]["auth"]["properties"]["policy"] = _of(PolicyFile)
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _of(model: type[BaseModel]) -> Any:
    document = model.model_json_schema()
    return _plain(document, document.pop("$defs"))


def _plain(node: Any, sections: dict[str, Any]) -> Any:
    """A schema without references: Helm's first draft of them is another one."""
    if isinstance(node, list):
        return [_plain(each, sections) for each in node]
    if isinstance(node, str):
        return " ".join(node.split())  # docstrings have lines
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(sections[node["$ref"].rpartition("/")[2]], sections)
    if NULL in node.get("anyOf", []):
        return _optional(node, sections)
    properties = node.get("properties", {})
    kept = {
        key: _plain(value, sections)
        for key, value in node.items()
        if key not in OPAQUE and key != "properties"
    }
    named = {name: _plain(value, sections) for name, value in properties.items()}
    return kept | ({"properties": named} if named else {})


def _optional(node: dict[str, Any], sections: dict[str, Any]) -> Any:
    """One schema instead of two, of which a refusal would tell both."""
    value, *others = [each for each in node["anyOf"] if each != NULL]
    if others or "type" not in value or "enum" in value:
        return {"anyOf": [_plain(each, sections) for each in node["anyOf"]]}
    kept = {key: each for key, each in node.items() if key != "anyOf"}
    return _plain(kept | value | {"type": [value["type"], "null"]}, sections)


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


def main() -> None:
    """Writes both, or checks them."""
    for file, made in ((README, page), (SCHEMA, schema)):
        current = file.read_text("utf-8")
        if "--check" not in sys.argv:
            file.write_text(made(current), "utf-8")
        elif made(current) != current:
            sys.exit(f"{file.name} is not current, run: python tools/chart_documents.py")


if __name__ == "__main__":
    main()
