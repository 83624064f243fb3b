from dataclasses import dataclass

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.explain.method import METHODS
from pellucid_server.explain.parameters import ParameterValue, describe, parameter, parse


@dataclass(frozen=True)
class Parameters:
    count: int = parameter(10, "How many.", minimum=1, maximum=100)
    share: float = parameter(0.5, "How much.", minimum=0, maximum=1)
    kind: str = parameter("round", "Which.", choices=("round", "square"))
    exact: bool = parameter(False, "Whether.")


def test_defaults_stand_where_nothing_is_given() -> None:
    assert parse(Parameters, {}) == Parameters()


def test_values_are_taken_and_whole_numbers_serve_as_real_ones() -> None:
    given: dict[str, ParameterValue] = {"count": 3, "share": 1, "kind": "square", "exact": True}
    parsed = parse(Parameters, given)
    assert parsed == Parameters(3, 1.0, "square", True)
    assert type(parsed.share) is float


@pytest.mark.parametrize(
    ("values", "field", "telling"),
    [
        ({"cuont": 3}, "parameters[cuont]", "'count'"),
        ({"count": 0}, "parameters[count]", "1 to 100"),
        ({"count": 2.5}, "parameters[count]", "int"),
        ({"count": True}, "parameters[count]", "int"),
        ({"share": 1.5}, "parameters[share]", "0 to 1"),
        ({"share": float("nan")}, "parameters[share]", "0 to 1"),
        ({"share": "much"}, "parameters[share]", "float"),
        ({"kind": "oval"}, "parameters[kind]", "round, square"),
        ({"exact": 1}, "parameters[exact]", "bool"),
    ],
)
def test_wrong_values_are_refused_by_name(
    values: dict[str, bool | int | float | str], field: str, telling: str
) -> None:
    """The error names the field, and what would be right."""
    with pytest.raises(InvalidInput, match=telling) as caught:
        parse(Parameters, values)
    assert caught.value.field == field


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_describes_itself(method: object) -> None:
    """Name, reference, and for each parameter a sentence and a default within its limits."""
    assert method.description.endswith(".")  # type: ignore[attr-defined]  # ids want objects
    assert method.reference  # type: ignore[attr-defined]  # as above
    for info in describe(method.parameters):  # type: ignore[attr-defined]  # as above
        assert info.description.endswith(".")
        assert parse(method.parameters, {info.name: info.default})  # type: ignore[attr-defined]  # as above
