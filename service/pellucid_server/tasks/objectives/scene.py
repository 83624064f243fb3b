"""Which objects of an image are explained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.objectives.base import Subject, Target, Wanted, class_field, class_index
from pellucid_server.tasks.objectives.objects import Proposals, Sought, overlap
from pellucid_server.tasks.objectives.places import checked
from pellucid_server.tasks.objectives.shapes import Shape
from pellucid_server.types import Array, Box, Category, Detection, Task

KINDS = ("detection", "class_id", "label", "box")


@dataclass(frozen=True, eq=False)
class Scene:
    """What a detector says of a whole image."""

    task: Task
    found: Sequence[tuple[int, Detection]]
    """The objects that Predict returns, each with its row of the proposals."""
    proposals: Proposals
    frame: Frame
    labels: Sequence[str]
    threshold: str
    """The path of the request's least confidence."""
    multi_label: bool = False
    """A proposal may be several objects: its vector does not tell them apart."""

    def sought(self, wanted: Wanted) -> tuple[Sought, ...]:
        """The objects to look for: those that the caller names, or the most confident.

        Raises:
            NotFound: the model finds no such object.
            InvalidInput: a target is wrong.
        """
        return wanted.chosen(self.task, KINDS, self._first, self._find)

    def _first(self, count: int) -> list[Sought]:
        if not self.found:
            raise NotFound(
                f"the model finds no object in the image: lower {self.threshold}, or give a box",
                field="targets",
            )
        return [self._object(place) for place in range(min(count, len(self.found)))]

    def _find(self, target: Target, path: str) -> Sought:
        if target.detection is not None:
            return self._numbered(target, path)
        if target.box is not None:
            return self._at(target.box, target, path)
        class_id = class_index(target, self.labels, len(self.labels) or None, path)
        for place, (_, each) in enumerate(self.found):
            if each.category.class_id == class_id:
                return self._object(place)
        raise NotFound(
            f"the model finds no {target.label or f'object of class {class_id}'} in the image: "
            f"lower {self.threshold}, or give a box as well",
            field=class_field(target, path),
        )

    def _numbered(self, target: Target, path: str) -> Sought:
        place, count = target.detection or 0, len(self.found)
        if target.box is not None:
            raise InvalidInput("a detection has its own box: leave box out", field=f"{path}.box")
        if not 0 <= place < count:
            raise NotFound(
                f"the model finds {count} objects, counted from 0, and not number {place}: "
                f"lower {self.threshold}, or give a box",
                field=f"{path}.detection",
            )
        return self._object(place)

    def _object(self, place: int) -> Sought:
        row, each = self.found[place]
        vector = self.proposals.scores[row]
        if self.multi_label:
            vector = self._one_hot(each.category.class_id)
        lay = self.proposals.mask
        shape = Shape.of(row, each.box, self.frame, lay) if lay else None
        return Sought(Subject.confident(each.category, each.box), each.box, vector, shape)

    def _at(self, given: Box, target: Target, path: str) -> Sought:
        """What is in a caller's box: an object of the class it names, or else the likeliest."""
        box = checked(given, self.frame.image, f"{path}.box")
        if target.has_class:
            class_id = class_index(target, self.labels, len(self.labels) or None, path)
            vector: Array = self._one_hot(class_id)
        else:
            vector = self._likeliest(box, f"{path}.box")
            class_id = int(vector.argmax())
        label = self.labels[class_id] if class_id < len(self.labels) else ""
        nameless = Sought(Subject(Category(class_id, label, 0), ""), box, vector)
        confidence = min(nameless.score(self.proposals), 1.0)
        subject = Subject.confident(Category(class_id, label, confidence), box)
        return Sought(subject, box, vector)

    def _likeliest(self, box: Box, path: str) -> Array:
        objectness = self.proposals.scores.max(axis=1, initial=0)
        fits = overlap(box, self.proposals.boxes) * objectness
        if not fits.max(initial=0) > 0:
            raise NotFound(
                "the model proposes nothing at this box: name a class with it", field=path
            )
        return np.asarray(self.proposals.scores[fits.argmax()])

    def _one_hot(self, class_id: int) -> Array:
        width = max(self.proposals.scores.shape[1], class_id + 1)
        return np.asarray(np.arange(width) == class_id, np.float32)
