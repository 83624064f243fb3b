"""YAML files of people, whose errors never show what stands in them: it may be a secret."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def parse_document(kind: type[M], content: bytes, path: Path) -> M:
    """A file's content, validated.

    Raises:
        ValueError: what is wrong with it, and where.
    """
    try:
        return kind.model_validate(_load(content) or {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path} is not YAML{line}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {'; '.join(_problems(error))}") from None


def _load(content: bytes) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
    return yaml.load(content, loader)  # noqa: S506  # both are safe loaders


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            yield f"{where} is not known"
        else:
            text = problem["msg"].removeprefix("Value error, ")
            yield f"{where}: {text[:1].lower()}{text[1:]}".removeprefix(": ")
