"""Parameters of a method: fields of a frozen dataclass that describe and check themselves."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from typing import Any, TypeVar

from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest

ParameterValue = bool | int | float | str
T = TypeVar("T")


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter of a method; `type` is bool, int, float or string."""

    name: str
    description: str
    type: str
    default: ParameterValue
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def parameter(
    default: ParameterValue,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a method's parameters; its type is that of the default."""
    limits = {"minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata={"description": description, **limits})


def describe(parameters: type[Any]) -> tuple[ParameterInfo, ...]:
    """What callers may set, in the order of the fields."""
    return tuple(
        ParameterInfo(
            name=item.name,
            type="string" if isinstance(default, str) else type(default).__name__,
            default=default,
            **item.metadata,
        )
        for item, default in zip(fields(parameters), astuple(parameters()), strict=True)
    )


def parse(parameters: type[T], values: Mapping[str, ParameterValue]) -> T:
    """Builds the parameters from what a caller set, defaults for the rest.

    Raises:
        InvalidInput: an unknown name, a wrong type, or a value out of range.
    """
    known = {info.name: info for info in describe(parameters)}
    for name in values:
        if name not in known:
            raise InvalidInput(
                f"the method has no parameter {name!r}.{nearest(name, known)}",
                field=f"parameters[{name}]",
            )
    return parameters(**{name: _checked(known[name], value) for name, value in values.items()})


def _checked(info: ParameterInfo, value: ParameterValue) -> ParameterValue:
    def wrong(expected: str) -> InvalidInput:
        return InvalidInput(
            f"{info.name} must be {expected}, not {value!r}", field=f"parameters[{info.name}]"
        )

    if info.type == "float" and type(value) is int:
        value = float(value)
    if type(value) is not type(info.default):
        raise wrong(f"of type {info.type}")
    if info.choices and value not in info.choices:
        raise wrong(f"one of {', '.join(info.choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = info.minimum, info.maximum
        # Written so that NaN, which compares false, is out of every range.
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise wrong(_range(low, high))
    return value


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"in {low:g} to {high:g}"
