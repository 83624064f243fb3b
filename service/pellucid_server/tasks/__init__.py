"""What models do: one module a task, registered by being here."""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pellucid_server.errors import InvalidInput
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks.base import TASKS, TaskModel
from pellucid_server.types import Port

__all__ = ["TASKS", "TaskModel", "task_model"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def task_model(
    spec: ModelSpec, inputs: Sequence[Port], outputs: Sequence[Port]
) -> TaskModel[Any, Any]:
    """Binds the task of a spec to a model.

    Raises:
        InvalidInput: the task takes tensors only, or the spec does not fit the model.
    """
    if spec.task not in TASKS:
        raise InvalidInput(
            f"the model's task is {spec.task}: it takes tensors only, not images", field="inputs"
        )
    return TASKS[spec.task](spec, inputs, outputs)
