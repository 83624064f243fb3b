"""Reads `model.yaml` and the labels beside it; both come from outside and are bounded."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pellucid_server.errors import ModelUnavailable
from pellucid_server.nearest import nearest
from pellucid_server.spec import ModelSpec, Preprocess

FILE = "model.yaml"
MAX_YAML_BYTES = 256 * 1024
MAX_LABELS_BYTES = 4 * 2**20
NOT_TEXT = "is not text: put it in quotes"


def read_spec(folder: Path) -> ModelSpec | None:
    """The description in a model's folder; None where there is none.

    Raises:
        ModelUnavailable: file, key and what is wrong with it.
    """
    path = folder / FILE
    if not path.exists():
        return None
    if not path.resolve().is_relative_to(folder.parent.resolve()):
        raise ModelUnavailable(f"{FILE} is a link out of the model repository")
    document = _parse(_text(path, MAX_YAML_BYTES))
    if isinstance(document.get("labels"), str):
        document["labels"] = _labels(folder, document["labels"])
    return validate(document, FILE)


def validate(document: dict[str, Any], source: str) -> ModelSpec:
    """A description from plain data.

    Raises:
        ModelUnavailable: each wrong key of the source, by its path.
    """
    try:
        return ModelSpec.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_describe(detail) for detail in error.errors())
        raise ModelUnavailable(f"{source}: {problems}") from error


def _text(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ModelUnavailable(f"{path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelUnavailable(f"{path.name}: byte {error.start} is not UTF-8") from error
    if len(data) > limit:
        raise ModelUnavailable(f"{path.name}: larger than {limit} bytes")
    return text


def _labels(folder: Path, name: str) -> list[str]:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelUnavailable(f"{FILE}: labels: {name!r} leads out of the model's folder")
    if not path.is_file():
        raise ModelUnavailable(f"{FILE}: labels: there is no file {name!r} beside it")
    return [line.strip() for line in _text(path, MAX_LABELS_BYTES).rstrip().split("\n")]


class _Loader(yaml.SafeLoader):
    """Plain data only: no aliases, which could expand without bound, and no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # untyped in the stubs
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not accepted", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _parse(text: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ModelUnavailable(f"{FILE}: {where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ModelUnavailable(f"{FILE}: not YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ModelUnavailable(f"{FILE}: nested too deeply") from error
    except ValueError as error:
        raise ModelUnavailable(f"{FILE}: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ModelUnavailable(f"{FILE}: not a mapping of keys to values")
    return document


def _describe(detail: ErrorDetails) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key.{nearest(str(detail['loc'][-1]), _known(detail['loc']))}"
    given = f" (it is {detail['input']!r})" if isinstance(detail["input"], Hashable) else ""
    problem = NOT_TEXT if detail["type"] == "string_type" else _lower(detail["msg"])
    return f"{path}: {problem}{given}" if path else problem


def _lower(message: str) -> str:
    for prefix in ("Input ", "Value error, "):
        message = message.removeprefix(prefix)
    return message


def _known(loc: tuple[int | str, ...]) -> list[str]:
    section = Preprocess if loc[0] == "preprocess" and len(loc) > 1 else ModelSpec
    return list(section.model_fields)
