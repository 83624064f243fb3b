"""What pictures of rows show, one file a kind of answer."""

from collections.abc import Mapping

from pellucid_server.engine.evaluation.panels.areas import areas
from pellucid_server.engine.evaluation.panels.classes import classes
from pellucid_server.engine.evaluation.panels.numbers import numbers
from pellucid_server.engine.evaluation.panels.objects import objects
from pellucid_server.engine.evaluation.panels.pictures import pictures
from pellucid_server.engine.evaluation.panels.scene import Painter, Replay, Scene
from pellucid_server.types import Task

__all__ = ["PAINTERS", "REPLAYED", "Painter", "Replay", "Scene"]

PAINTERS: Mapping[Task, Painter] = {
    Task.CLASSIFICATION: classes,
    Task.DETECTION: objects,
    Task.INSTANCE_SEGMENTATION: objects,
    Task.SEMANTIC_SEGMENTATION: areas,
    Task.SUPER_RESOLUTION: pictures,
    Task.STYLE_TRANSFER: pictures,
    Task.INPAINTING: pictures,
    Task.REGRESSION: numbers,
}
REPLAYED = frozenset(task for task, each in PAINTERS.items() if each in {areas, pictures})
"""Tasks whose rows do not keep the answer: the model runs again."""
