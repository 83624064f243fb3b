from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest


class Options(BaseModel):
    """What a task reads from `decode` of model.yaml: one subclass a task."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Chosen = TypeVar("Chosen", bound=Options)


def read_options(options: type[Chosen], decode: Mapping[str, Any]) -> Chosen:
    """Validates the `decode` section.

    Raises:
        InvalidInput: a key is unknown, missing or has a wrong value; `field` names it.
    """
    try:
        return options.model_validate(dict(decode))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise InvalidInput(_message(options, name, first), field=f"decode.{name}") from error


def _message(options: type[Options], name: str, problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return f"decode has no {name!r}.{nearest(name, options.model_fields)}"
    if problem["type"] == "missing":
        return f"decode.{name} is missing: set it in model.yaml"
    return f"decode.{name} is {problem['input']!r}: {problem['msg']}"
