import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks import TASKS, task_model
from pellucid_server.types import Port, Task

IMAGE = Port("image", "f32", (1, 3, 32, 32))
SCORES = Port("scores", "f32", (1, 5))


def test_every_task_but_raw_is_registered_under_its_own_name() -> None:
    assert set(TASKS) == set(Task) - {Task.RAW}
    assert all(model.task is task for task, model in TASKS.items())


def test_a_spec_gets_the_class_of_its_task() -> None:
    model = task_model(ModelSpec(task=Task.CLASSIFICATION), [IMAGE], [SCORES])
    assert model.task is Task.CLASSIFICATION
    assert model.image is IMAGE
    assert model.input_size == (32, 32)


def test_a_raw_model_takes_tensors_only() -> None:
    with pytest.raises(InvalidInput, match="tensors only") as caught:
        task_model(ModelSpec(), [IMAGE], [SCORES])
    assert caught.value.field == "inputs"


def refusal(decode: dict[str, object]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        task_model(ModelSpec(task=Task.CLASSIFICATION, decode=decode), [IMAGE], [SCORES])
    return caught.value


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    error = refusal({"multilabel": True})
    assert error.field == "decode.multilabel"
    assert "Did you mean 'multi_label'?" in error.message


def test_a_wrong_value_names_those_allowed() -> None:
    error = refusal({"type": "softmaxx"})
    assert error.field == "decode.type"
    for allowed in ("softmax", "sigmoid", "probabilities"):
        assert f"'{allowed}'" in error.message


def test_an_unknown_output_is_refused_with_the_nearest() -> None:
    error = refusal({"output": "score"})
    assert error.field == "decode.output"
    assert "Did you mean 'scores'?" in error.message


def test_of_several_outputs_one_must_be_named() -> None:
    spec = ModelSpec(task=Task.CLASSIFICATION)
    with pytest.raises(InvalidInput, match="scores, more") as caught:
        task_model(spec, [IMAGE], [SCORES, Port("more", "f32", (1, 5))])
    assert caught.value.field == "decode.output"
