"""Makes models/push-pull: a deterministic pyramid that fills holes from their rim.

Pull: colours, weighted by what is known of them, shrink to half until two pixels are left.
Push: each level shows through where the finer one knows nothing. After Gortler et al.,
"The Lumigraph" (1996), section 3.4. Nothing is learned and nothing is downloaded.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino as ov
from _common import nchw, photo, run
from openvino import opset13 as ops

SIZE = 512
LEVELS = 8
SATURATION = np.float32(4)
"""A quarter of the pixels under the kernel is enough to know a colour."""
LEAST = np.float32(1e-6)
ONE = np.float32(1)
TENT = np.array([1, 3, 3, 1], np.float32)


class Level(NamedTuple):
    """Colours times weights, and weights of 0 (unknown) to 1 (known)."""

    colours: ov.Node
    weights: ov.Node


def halve(image: ov.Node, channels: int) -> ov.Node:
    """Half the size, by the tent kernel."""
    kernel = np.tile(np.outer(TENT, TENT) / TENT.sum() ** 2, (channels, 1, 1, 1, 1))
    return ops.group_convolution(image, kernel.astype(np.float32), [2, 2], [1, 1], [1, 1], [1, 1])


def double(image: ov.Node) -> ov.Node:
    """Twice the size, linear."""
    return ops.interpolate(
        image,
        np.array([2, 2], np.float32),
        "linear_onnx",
        "scales",
        axes=np.array([2, 3], np.int64),
        coordinate_transformation_mode="half_pixel",
    )


def pull(level: Level) -> Level:
    """The next coarser level."""
    colours, weights = halve(level.colours, 3), halve(level.weights, 1)
    known = ops.minimum(ops.multiply(weights, SATURATION), ONE)
    return Level(ops.multiply(ops.divide(colours, ops.maximum(weights, LEAST)), known), known)


def push(level: Level, coarser: ov.Node) -> ov.Node:
    """Lets the coarser level show where this one knows nothing."""
    return ops.add(level.colours, ops.multiply(ops.subtract(ONE, level.weights), double(coarser)))


def network() -> ov.Model:
    """From `image` (1 x 3 x 512 x 512, 0 to 1) and `mask` (1 where the hole is)."""
    image = ops.parameter([1, 3, SIZE, SIZE], np.float32, name="image")
    mask = ops.parameter([1, 1, SIZE, SIZE], np.float32, name="mask")
    for node in (image, mask):
        node.output(0).get_tensor().set_names({node.get_friendly_name()})
    known = ops.subtract(ONE, mask)
    levels = [Level(ops.multiply(image, known), known)]
    for _ in range(LEVELS):
        levels.append(pull(levels[-1]))
    colours, weights = levels.pop()
    filled = ops.divide(colours, ops.maximum(weights, LEAST))
    for level in reversed(levels):
        filled = push(level, filled)
    filled.output(0).get_tensor().set_names({"inpainted"})
    return ov.Model([ops.result(filled)], [image, mask], "push-pull")


def build(folder: Path) -> Path:
    """Builds and writes."""
    ov.save_model(network(), folder / "model.xml", compress_to_fp16=True)
    return folder / "model.xml"


if __name__ == "__main__":
    hole = np.zeros((1, 1, SIZE, SIZE), np.float32)
    hole[:, :, 150:300, 200:420] = 1
    feeds = {"image": nchw(photo("astronaut.png", SIZE, SIZE) / 255), "mask": hole}
    run("push-pull", build, feeds, tolerance=1e-5)
