"""The task of each served model, built once."""

import threading
from typing import Any
from weakref import WeakKeyDictionary

from pellucid_server.runtime.served import ServedModel
from pellucid_server.tasks import task_model
from pellucid_server.tasks.base import TaskModel


class TaskModels:
    """Task models by served model, kept as long as it is served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[ServedModel, TaskModel[Any, Any]] = WeakKeyDictionary()

    def get(self, served: ServedModel) -> TaskModel[Any, Any]:
        """The task of a model.

        Raises:
            InvalidInput: the model takes tensors only, or does not fit its description.
        """
        with self._lock:
            if served not in self._known:
                self._known[served] = task_model(served.spec, served.inputs, served.outputs)
            return self._known[served]
