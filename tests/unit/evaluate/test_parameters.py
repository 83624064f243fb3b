import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.evaluator import Options
from pellucid_server.evaluate.parameters import choice, whole


def options(**parameters: str) -> Options:
    return Options((), parameters=parameters)


def test_parameters_are_read_or_have_a_default() -> None:
    assert whole(options(bins="20"), "bins", 15, 1, 100) == 20
    assert whole(options(), "bins", 15, 1, 100) == 15
    assert choice(options(channel="y"), "channel", "rgb", ("rgb", "y")) == "y"


@pytest.mark.parametrize("text", ["0", "101", "1.5", "many", ""])
def test_a_number_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 100") as caught:
        whole(options(bins=text), "bins", 15, 1, 100)
    assert caught.value.field == "parameters[bins]"


def test_another_choice_is_refused_with_those_allowed() -> None:
    with pytest.raises(InvalidInput, match="rgb or y") as caught:
        choice(options(channel="x"), "channel", "rgb", ("rgb", "y"))
    assert caught.value.field == "parameters[channel]"
