from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid_server.engine.evaluation.panels.scene import (
    PREDICTION,
    Replay,
    Scene,
    not_annotated,
    share,
    verdict,
)
from pellucid_server.evaluate.annotations import LabelMap
from pellucid_server.evaluate.evaluator import BadAnnotation
from pellucid_server.evaluate.report import NOTHING
from pellucid_server.imaging.draw import BLACK, IGNORED, Color, Tag
from pellucid_server.imaging.encode import class_color
from pellucid_server.types import Array, Image, SemanticSegmentationResult


def areas(scene: Scene) -> Iterator[Image]:
    """Every class in the colour that label maps have it in."""
    replay = scene.replayed()
    answer: SemanticSegmentationResult = replay.answer
    canvas = scene.canvas()
    canvas.paint(answer.label_map, _colors(answer.label_map))
    canvas.legend(_legend(scene, answer.label_map, {}))
    yield canvas.framed(PREDICTION)
    if not isinstance(replay.sample.annotation, LabelMap):
        yield not_annotated(scene)
        return
    told = annotated_classes(replay)
    right = set(np.unique(told[told == answer.label_map]).tolist())
    words = {each: "" if each in right else "missed: " for each in np.unique(told).tolist()}
    canvas = scene.canvas()
    canvas.paint(told, _colors(told) | {NOTHING: IGNORED})
    extra = set(np.unique(answer.label_map[told != NOTHING]).tolist()) - words.keys()
    canvas.legend(
        [
            *_legend(scene, told, words),
            *(Tag(f"extra: {scene.name(each)}", _plane_color(each)) for each in sorted(extra)),
        ]
    )
    yield canvas.framed(verdict(scene.row, f"mean IoU{share(scene.row.score or 0)}"))


def annotated_classes(replay: Replay) -> NDArray[np.int64]:
    """The model's class of every pixel as it is annotated; `NOTHING`: it is not counted.

    The evaluator knows what values and colours mean. It is asked by way of a prediction that
    gives each of them a class of its own.

    Raises:
        BadAnnotation: the map of classes does not fit.
    """
    annotation = replay.sample.annotation
    if not isinstance(annotation, LabelMap):
        raise BadAnnotation("the annotation is no picture of classes")
    picture = replay.load(annotation.path)
    codes = picture if picture.ndim == 2 else picture @ np.array([1 << 16, 1 << 8, 1])
    found, places = np.unique(codes, return_inverse=True)
    places = places.reshape(codes.shape)
    answer = SemanticSegmentationResult(places.astype(np.uint16), ())
    row = replay.evaluator.row(0, replay.sample, answer, lambda _: picture, None)
    pairs: Any = row.detail["confusion"]
    table = np.full(len(found), NOTHING, np.int64)
    table[pairs[1::3]] = pairs[::3]
    return np.asarray(table[places])


def _legend(scene: Scene, classes: Array, words: Mapping[int, str]) -> list[Tag]:
    """Classes by how much of the image they cover."""
    found, pixels = np.unique(classes, return_counts=True)
    order = np.argsort(-pixels, kind="stable")

    def tag(each: int, part: float) -> Tag:
        if each == NOTHING:
            return Tag("not counted", IGNORED, share(part))
        return Tag(words.get(each, "") + scene.name(each), _plane_color(each), share(part))

    shares = pixels[order] / classes.size
    return [tag(*pair) for pair in zip(found[order].tolist(), shares.tolist(), strict=True)]


def _colors(classes: Array) -> dict[int, Color]:
    """Of classes in the colours of label maps; what is black there stays as it is."""
    colors = {each: _plane_color(each) for each in np.unique(classes).tolist() if each != NOTHING}
    return {each: color for each, color in colors.items() if color != BLACK}


def _plane_color(class_id: int) -> Color:
    red, green, blue = class_color(class_id).to_bytes(3)
    return red, green, blue
