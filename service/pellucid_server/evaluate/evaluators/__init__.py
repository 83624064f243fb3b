"""How tasks are judged: one module a task, registered by being here."""

from importlib import import_module
from pkgutil import iter_modules

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.evaluator import EVALUATORS, Evaluator, Options
from pellucid_server.types import Task

__all__ = ["EVALUATORS", "evaluator"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def evaluator(task: Task, options: Options) -> Evaluator:
    """What judges a task.

    Raises:
        InvalidInput: nothing does, or the options do not fit.
    """
    if task not in EVALUATORS:
        raise InvalidInput(
            f"a model of task {task} cannot be evaluated: give model.yaml one of "
            f"{', '.join(EVALUATORS)}",
            field="model_name",
        )
    return EVALUATORS[task](options)
