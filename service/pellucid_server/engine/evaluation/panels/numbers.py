from collections.abc import Iterator

from pellucid_server.engine.evaluation.panels.scene import (
    ANNOTATION,
    PREDICTION,
    Scene,
    not_annotated,
)
from pellucid_server.imaging.draw import DARK, Tag
from pellucid_server.types import Image


def numbers(scene: Scene) -> Iterator[Image]:
    """Numbers, beside those that they should be."""
    detail, canvas = scene.detail, scene.canvas()
    values, targets = detail["values"], detail.get("targets")

    def name(index: int) -> str:
        label = scene.label(index) or (f"output {index}" if len(values) > 1 else "")
        return f"{label}: " if label else ""

    canvas.legend([Tag(name(i), DARK, f"{value:.5g}") for i, value in enumerate(values)])
    yield canvas.framed(PREDICTION)
    if targets is None:
        yield not_annotated(scene)
        return
    canvas = scene.canvas()
    canvas.legend(
        [
            Tag(name(i), DARK, f"{target:.5g} (off by {value - target:+.3g})")
            for i, (target, value) in enumerate(zip(targets, values, strict=True))
        ]
    )
    yield canvas.framed(ANNOTATION)
