"""The importance map of what was predicted."""

from dataclasses import dataclass, replace
from typing import Any, cast

from pellucid_server.call import Call
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.explanation import ExplainRequest, Explanation, OverlayOptions
from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.report import Row
from pellucid_server.explain import METHODS
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.tasks.base import TaskModel
from pellucid_server.tasks.objectives import Target
from pellucid_server.types import Box, EncodedImage, Image, Task, TaskParameters

METHOD, MASKS = "rise", 256
"""Enough for a look at where a model looks."""
WITHOUT_CLASSES = {
    Task.SUPER_RESOLUTION,
    Task.STYLE_TRANSFER,
    Task.INPAINTING,
    Task.REGRESSION,
}
"""Tasks whose answer is explained as a whole."""


@dataclass(frozen=True)
class Importance:
    """Explains a model as it was judged, whatever the repository serves by its name."""

    explainer: Explainer
    served: ServedModel
    call: Call

    def drawn(self, image: bytes, row: Row, parameters: TaskParameters | None) -> Image:
        """The map over the image, of what the row says was predicted.

        Raises:
            PellucidError: of the explanation.
        """
        request = ExplainRequest(
            self.served.name,
            EncodedImage(image),
            targets=_targets(row),
            method=METHOD,
            parameters={"num_masks": MASKS},
            overlay=OverlayOptions(legend=False),
            task_parameters=parameters,
        )
        models = cast("ModelRepository", Only(self.served))
        *_, last = replace(self.explainer, models=models).explain(request, self.call)
        if not isinstance(last, Explanation) or last.overlay is None:
            raise TypeError("an explanation ends with its map")
        return last.overlay


@dataclass(frozen=True)
class Only:
    """As much of a repository as an explanation needs: one model."""

    served: ServedModel

    def get(self, name: str, version: str) -> ServedModel:
        """The model, whatever it is called."""
        del name, version
        return self.served


def check_explained(task: TaskModel[Any, Any]) -> None:
    """Refuses what has no importance maps.

    Raises:
        InvalidInput: the method does not serve the task, or there is no image.
    """
    known = METHODS[METHOD].tasks
    if task.task not in known:
        raise InvalidInput(
            f"{task.task} models have no importance maps, those of {', '.join(known)} have: "
            "unset explanation",
            field="explanation",
        )
    if getattr(task, "takes_features", False):
        raise InvalidInput(
            "rows of a table have no importance maps: unset explanation", field="explanation"
        )


def has_subject(row: Row, task: Task) -> bool:
    """Whether the model said anything that can be explained."""
    return row.predicted is not None or task in WITHOUT_CLASSES


def _targets(row: Row) -> tuple[Target, ...]:
    """The predicted class, where it has a place of its own there; none: the whole answer."""
    if row.predicted is None:
        return ()
    boxes: Any = row.detail.get("boxes")
    if not boxes:
        return (Target(class_id=row.predicted.class_id),)
    x, y, width, height = boxes[0]
    return (Target(class_id=row.predicted.class_id, box=Box(x, y, x + width, y + height)),)
