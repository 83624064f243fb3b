import base64
from collections.abc import Iterator

import numpy as np

from pellucid_server.engine.evaluation.panels.scene import (
    ANNOTATION,
    PREDICTION,
    Scene,
    not_annotated,
    share,
    verdict,
)
from pellucid_server.evaluate.evaluators.multi_label import SINGLE
from pellucid_server.imaging.draw import EXTRA, FOUND, MISSED, Color, Tag, color_of
from pellucid_server.types import Image


def classes(scene: Scene) -> Iterator[Image]:
    """Classes of the whole image, with their confidences."""
    multi_label = "confidences" in scene.row.detail
    yield from (_several_classes if multi_label else _one_class)(scene)


def _one_class(scene: Scene) -> Iterator[Image]:
    row, canvas, detail = scene.row, scene.canvas(), scene.detail
    best = row.predicted
    shown = [(best.class_id, best.confidence)] if best else []
    canvas.legend(
        [
            Tag(scene.name(class_id), color_of(class_id), share(confidence))
            for class_id, confidence in detail.get("top", shown)
        ]
    )
    yield canvas.framed(PREDICTION)
    canvas, truth = scene.canvas(), row.annotated
    if truth is None:
        yield not_annotated(scene)
        return
    place = "" if row.correct else f", place {row.rank}"
    color = FOUND if row.correct else MISSED
    canvas.legend([Tag(scene.name(truth.class_id), color, share(truth.confidence) + place)])
    yield canvas.framed(f"{ANNOTATION}: {'right' if row.correct else 'wrong'}")


def _several_classes(scene: Scene) -> Iterator[Image]:
    canvas, detail = scene.canvas(), scene.detail
    confidences = np.frombuffer(base64.b64decode(detail["confidences"]), SINGLE)

    def tag(class_id: int, color: Color, word: str = "") -> Tag:
        return Tag(word + scene.name(class_id), color, share(float(confidences[class_id])))

    def ordered(classes: set[int]) -> list[int]:
        return sorted(classes, key=lambda each: -confidences[each])

    said, told = set(detail["predicted"]), set(detail.get("annotated", ()))
    canvas.legend([tag(each, color_of(each)) for each in ordered(said)])
    yield canvas.framed(PREDICTION if said else f"{PREDICTION}: none")
    if "annotated" not in detail:
        yield not_annotated(scene)
        return
    canvas = scene.canvas()
    canvas.legend(
        [
            *(tag(each, MISSED, "missed: ") for each in ordered(told - said)),
            *(tag(each, EXTRA, "extra: ") for each in ordered(said - told)),
            *(tag(each, FOUND) for each in ordered(said & told)),
        ]
    )
    yield canvas.framed(verdict(scene.row))
