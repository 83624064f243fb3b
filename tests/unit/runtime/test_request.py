"""What a request reads and writes stays where it is, and nothing of one run is left in the next."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.runtime.request import Request


def request(*shapes: list[int], kind: ov.Type = ov.Type.f32) -> Request:
    """Of a model that gives back what it takes."""
    entries = []
    for index, shape in enumerate(shapes):
        entry = ops.parameter(shape, kind, name=f"x{index}")
        entry.output(0).tensor.set_names({f"x{index}"})
        entries.append(entry)
    graph = ov.Model([ops.result(each) for each in entries], entries, "identity")
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return Request(compiled, [f"y{index}" for index in range(len(shapes))])


def test_outputs_are_the_callers_own() -> None:
    """A later run does not change what an earlier one gave."""
    one = request([2])
    one.write({"x0": np.array([1, 2], np.float32)})
    first = one.run()["y0"]
    one.write({"x0": np.array([3, 4], np.float32)})
    assert one.run()["y0"].tolist() == [3, 4]
    assert first.tolist() == [1, 2]


def test_an_input_that_is_missing_is_not_the_one_of_the_run_before() -> None:
    both = request([1], [1])
    both.write({"x0": np.ones(1, np.float32), "x1": np.ones(1, np.float32)})
    with pytest.raises(KeyError):
        both.write({"x0": np.zeros(1, np.float32)})


def test_only_what_changes_is_written_between_runs() -> None:
    both = request([1], [1])
    both.write({"x0": np.ones(1, np.float32), "x1": np.ones(1, np.float32)})
    both.update({"x1": np.full(1, 5, np.float32)})
    outputs = both.run()
    assert (outputs["y0"][0], outputs["y1"][0]) == (1, 5)


@pytest.mark.parametrize("values", [np.zeros(3, np.float32), np.zeros(2, np.float64), np.zeros(())])
def test_what_the_model_does_not_take_is_refused_and_the_next_run_is_well(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> None:
    """No array is broadcast or cast into another's place."""
    one = request([2])
    with pytest.raises(RuntimeError):
        one.write({"x0": values})
    one.write({"x0": np.array([7, 8], np.float32)})
    assert one.run()["y0"].tolist() == [7, 8]


@pytest.mark.parametrize("side", [0, 3, 700], ids=["none", "few", "more than are kept locked for"])
@pytest.mark.parametrize("turned", [False, True])
def test_values_arrive_however_they_lie_in_memory(
    side: int,
    turned: bool,  # noqa: FBT001 - a parametrised flag
) -> None:
    values = np.arange(side * side, dtype=np.float32).reshape(side, side)
    values = values.T if turned else values
    one = request([side, side])
    one.write({"x0": values})
    assert np.array_equal(one.run()["y0"], values)


def test_sizes_that_vary_are_bound_anew() -> None:
    """A free dimension has no memory of its own."""
    one = request([-1])
    for values in ([1.0], [2.0, 3.0], [4.0, 5.0, 6.0]):
        one.write({"x0": np.array(values, np.float32)})
        assert one.run()["y0"].tolist() == values
