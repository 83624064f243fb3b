from collections.abc import Iterator

from pellucid_server.engine.evaluation.panels.scene import (
    ANNOTATION,
    PREDICTION,
    Scene,
    not_annotated,
)
from pellucid_server.evaluate.evaluators.pictures import PictureEvaluator
from pellucid_server.imaging.draw import MISSED, Canvas
from pellucid_server.types import Image, InpaintingParameters


def pictures(scene: Scene) -> Iterator[Image]:
    """The picture that the model made, the one wanted, and the holes where there are any."""
    replay, side, score = scene.replayed(), scene.side, scene.row.score
    heading = PREDICTION if score is None else f"{PREDICTION}: {score:.1f} dB"
    yield Canvas(replay.answer.image, side).framed(heading)
    if replay.sample.annotation is None or not isinstance(replay.evaluator, PictureEvaluator):
        yield not_annotated(scene)
        return
    wanted = replay.picture(replay.evaluator.wanted_picture(replay.sample))
    yield Canvas(wanted, side).framed(ANNOTATION)
    if isinstance(replay.parameters, InpaintingParameters) and replay.parameters.mask is not None:
        canvas = scene.canvas()
        canvas.tint(replay.parameters.mask, MISSED)
        yield canvas.framed("Holes")
