"""A net of ResNet-50's shape (arXiv 1512.03385, table 1), with random weights.

Weights are drawn so that activations keep their size from layer to layer: what vanishes
becomes denormal, and denormal numbers are slow.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

RESNET = "resnet50-shaped"
SIDE, CLASSES = 224, 1000
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width, blocks and first stride of each stage."""
EXPANSION = 4
BRANCH = 0.3
"""What a block adds, relative to what passes it by: sums would grow without."""
SPEC = """\
task: classification
description: ResNet-50's shape with random weights
preprocess:
  mean: [123.675, 116.28, 103.53]
  scale: [58.395, 57.12, 57.375]
  resize: crop
  crop_fraction: 0.875
decode:
  type: softmax
  output: logits
"""


@dataclass(frozen=True)
class Layers:
    """Builds layers with weights of one random stream."""

    random: np.random.Generator

    def conv(self, x: ov.Output, width: int, kernel: int, stride: int, gain: float) -> ov.Node:
        """A convolution with a bias, as batch normalisation leaves it once folded."""
        channels = x.get_partial_shape()[1].get_length()
        std = gain / np.sqrt(channels * kernel * kernel)
        weights = self._normal(std, width, channels, kernel, kernel)
        pads = [kernel // 2] * 2
        made = ops.convolution(x, weights, [stride] * 2, pads, pads, [1, 1])
        bias = self._normal(0.1, 1, width, 1, 1)
        return ops.add(made, bias)

    def block(self, x: ov.Output, width: int, stride: int) -> ov.Output:
        """A bottleneck with its shortcut."""
        relu_gain = float(np.sqrt(2))
        out = width * EXPANSION
        y = ops.relu(self.conv(x, width, 1, 1, relu_gain))
        y = ops.relu(self.conv(y.output(0), width, 3, stride, relu_gain))
        y = self.conv(y.output(0), out, 1, 1, BRANCH)
        if x.get_partial_shape()[1].get_length() != out:
            x = self.conv(x, out, 1, stride, relu_gain).output(0)
        return ops.relu(ops.add(x, y)).output(0)

    def head(self, x: ov.Output) -> ov.Node:
        """Mean over all places, and a score for each class."""
        pooled = ops.reduce_mean(x, np.asarray([2, 3]), keep_dims=False)
        features = pooled.get_output_shape(0)[1]
        weights = self._normal(3 / np.sqrt(features), features, CLASSES)
        return ops.matmul(pooled, weights, False, False)

    def _normal(self, std: float, *shape: int) -> NDArray[np.float32]:
        return self.random.standard_normal(shape, np.float32) * np.float32(std)


def resnet50() -> ov.Model:
    """The net: 1 x 3 x 224 x 224 in, 1,000 logits out."""
    layers = Layers(np.random.default_rng(0))
    image = ops.parameter([1, 3, SIDE, SIDE], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    stem = ops.relu(layers.conv(image.output(0), 64, 7, 2, float(np.sqrt(2))))
    pads = [1, 1]
    x = ops.max_pool(stem, [2, 2], [1, 1], pads, pads, [3, 3]).output(0)
    for width, blocks, stride in STAGES:
        for index in range(blocks):
            x = layers.block(x, width, 1 if index else stride)
    logits = layers.head(x)
    logits.output(0).get_tensor().set_names({"logits"})
    return ov.Model([ops.result(logits)], [image], RESNET)


@contextmanager
def repository() -> Iterator[Path]:
    """A model repository with the net alone, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / RESNET
        (model / "1").mkdir(parents=True)
        ov.save_model(resnet50(), model / "1" / "model.xml")
        (model / "model.yaml").write_text(SPEC)
        yield Path(folder)
