"""The task of each served model, built once."""

import threading
from typing import Any
from weakref import WeakKeyDictionary

from pellucid_server.errors import InvalidInput, ModelUnavailable
from pellucid_server.runtime.served import ServedModel
from pellucid_server.tasks import task_model
from pellucid_server.tasks.base import TaskModel
from pellucid_server.types import Task


class TaskModels:
    """Task models by served model, kept as long as it is served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[ServedModel, TaskModel[Any, Any]] = WeakKeyDictionary()

    def get(self, served: ServedModel) -> TaskModel[Any, Any]:
        """The task of a model.

        Raises:
            InvalidInput: the model takes tensors only.
            ModelUnavailable: the model does not fit its description.
        """
        if served.spec.task is Task.RAW:
            raise InvalidInput(
                f"{served.name} takes tensors only: send `tensors`, or give model.yaml a task",
                field="model_name",
            )
        with self._lock:
            task = self._known.get(served)
            if task is None:
                task = self._known[served] = self._build(served)
            return task

    def check(self, served: ServedModel) -> None:
        """Refuses a model that does not fit its description: for the time of loading.

        Raises:
            ModelUnavailable: with what to change.
        """
        if served.spec.task is not Task.RAW:
            self._build(served)

    @staticmethod
    def _build(served: ServedModel) -> TaskModel[Any, Any]:
        try:
            return task_model(served.spec, served.inputs, served.outputs)
        except InvalidInput as error:
            place = f"{error.field}: " if error.field else ""
            raise ModelUnavailable(f"{served.name}: {place}{error.message}") from error
