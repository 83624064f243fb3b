import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.evaluator import Options
from pellucid_server.evaluate.evaluators import EVALUATORS, evaluator
from pellucid_server.types import PARAMETERS, RegressionParameters, Task

TASKS = sorted(set(Task) - {Task.RAW})


def test_every_task_but_raw_has_an_evaluator_of_its_own() -> None:
    assert set(EVALUATORS) == set(TASKS)
    assert all(judge.task is task for task, judge in EVALUATORS.items())


def test_what_has_no_meaning_cannot_be_evaluated() -> None:
    with pytest.raises(InvalidInput, match=r"model\.yaml.*classification") as caught:
        evaluator(Task.RAW, Options(()))
    assert caught.value.field == "model_name"


@pytest.mark.parametrize("task", TASKS)
def test_an_evaluator_asks_for_parameters_of_its_task(task: Task) -> None:
    expected = {**PARAMETERS, Task.REGRESSION: RegressionParameters}[task]
    assert type(evaluator(task, Options(())).parameters()) is expected


@pytest.mark.parametrize("task", TASKS)
def test_a_report_of_nothing_is_empty(task: Task) -> None:
    report = evaluator(task, Options(())).report()
    assert (report.metrics, report.classes, report.confusions) == ((), (), ())


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_metric_is_refused_with_the_nearest(task: Task) -> None:
    known = EVALUATORS[task].metric_names[0]
    with pytest.raises(InvalidInput, match=f"Did you mean '{known}'") as caught:
        evaluator(task, Options((), metrics=[f"{known}x"]))
    assert caught.value.field == "metrics"


def test_metrics_of_the_other_kind_of_classification_are_refused() -> None:
    with pytest.raises(InvalidInput, match="top_1"):
        evaluator(Task.CLASSIFICATION, Options((), metrics=["top_1"], multi_label=True))


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.DETECTION, Task.SEMANTIC_SEGMENTATION])
def test_a_data_set_without_any_class_of_the_model_is_refused(task: Task) -> None:
    with pytest.raises(InvalidInput) as caught:
        evaluator(task, Options(["cat", "dog"], classes=["car", "bus"]))
    assert caught.value.field == "label_map"
    evaluator(task, Options(["cat", "dog"], classes=["car", "bus"], label_map={"car": "cat"}))
