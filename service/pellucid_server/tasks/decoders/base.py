"""What a decoder is: a detector's outputs become candidates, in pixels of its input."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pellucid_server.errors import InferenceFailed, InvalidInput
from pellucid_server.tasks.decoders.masks import Masks
from pellucid_server.tasks.options import Options
from pellucid_server.types import Array, Outputs, Port, Size

MOST = 10_000
"""Candidates that go into suppression, and the most objects that can be asked for."""

TOLERANCE = 1e-3
"""How far beyond [0, 1] a confidence may be: that of FP16 and INT8."""

Fraction = Annotated[float, Field(ge=0, le=1)]


class DecodeOptions(Options):
    """What `decode` of model.yaml says of any detector."""

    type: str
    confidence_threshold: Fraction = 0.3
    iou_threshold: Fraction | None = 0.5
    """None: the model suppresses by itself; only a call that asks for more gets it."""
    max_detections: Annotated[int, Field(ge=1, le=MOST)] = 100
    multi_label: bool = False
    """A box may be of several classes: one object for each above the threshold."""


@dataclass(frozen=True)
class Candidates:
    """Boxes as a model proposes them, in pixels of its input.

    `boxes` is N x 4 (x_min, y_min, x_max, y_max). `scores` is N x classes, or N where
    the model says only the best class of a box: then `class_ids` has it.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64] | None = None
    needs_nms: bool = True
    masks: Masks | None = None

    def take(self, rows: Array) -> Self:
        """These rows only."""
        ids, masks = self.class_ids, self.masks
        return type(self)(
            self.boxes[rows],
            self.scores[rows],
            None if ids is None else ids[rows],
            self.needs_nms,
            None if masks is None else masks.take(rows),
        )

    def vectors(self, classes: int) -> NDArray[np.float32]:
        """Scores of every class, N x classes: zero but for the best where only it is known."""
        if self.class_ids is None:
            return self.scores
        return np.where(
            self.class_ids[:, None] == np.arange(classes), self.scores[:, None], np.float32(0)
        )


Opts = TypeVar("Opts", bound=DecodeOptions)


@dataclass(frozen=True)
class Decoder(ABC, Generic[Opts]):
    """A layout with its options, bound to the outputs of one model.

    `labels` is their number; 0: the classes are not known.
    """

    options: Opts
    outputs: Sequence[Port]
    labels: int
    options_type: ClassVar[type[DecodeOptions]]
    masks: ClassVar[bool] = False

    @abstractmethod
    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        """Reads the outputs for one image, of an input of `size`."""

    def candidates(self, outputs: Outputs, size: Size) -> Candidates:
        """What the model proposes, without boxes that are empty or not finite.

        Raises:
            InferenceFailed: the outputs do not have the layout, or hold no confidences.
        """
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                found = self.decode(outputs, size)
            found = found.take(_sound(found))
        except (ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {list(each.shape)}" for name, each in outputs.items())
            raise InferenceFailed(
                f"the model's outputs do not have the layout {self.options.type}: {shapes}"
            ) from error
        low, high = found.scores.min(initial=0), found.scores.max(initial=0)
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            raise InferenceFailed(
                f"the model's scores reach from {low:.3g} to {high:.3g} and are no confidences: "
                f"check decode.type ({self.options.type}) and its options"
            )
        return found

    def check_classes(self, classes: int) -> int:
        """The number of classes, after comparing it with that of labels.

        Raises:
            InvalidInput: they differ.
        """
        if classes < 1 or self.labels not in {0, classes}:
            raise InvalidInput(
                f"the outputs have {classes} classes in the layout {self.options.type} and there "
                f"are {self.labels} labels: check labels and decode",
                field="labels",
            )
        return classes


def _sound(found: Candidates) -> NDArray[np.intp]:
    """Rows with a class, finite scores and a finite box of positive extent."""
    boxes, scores, ids = found.boxes, found.scores, found.class_ids
    if boxes.shape[1:] != (4,) or {len(scores), len(boxes if ids is None else ids)} != {len(boxes)}:
        raise ValueError("boxes, scores and classes differ in number")
    good = np.isfinite(boxes).all(axis=1)
    good &= np.isfinite(scores).all(axis=tuple(range(1, scores.ndim)))
    good &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if ids is not None:
        good &= ids >= 0
    return np.flatnonzero(good)


AnyDecoder = Decoder[Any]
DECODERS: dict[str, type[AnyDecoder]] = {}
D = TypeVar("D", bound=type[AnyDecoder])


def register(name: str) -> Callable[[D], D]:
    """Makes a class the one that `decode.type: name` means."""

    def add(kind: D) -> D:
        DECODERS[name] = kind
        return kind

    return add
