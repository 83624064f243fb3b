"""Makes models/esrgan-slim from the Keras layers model of npm @upscalerjs/esrgan-slim 1.0.0."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from _common import nchw, npm_members, photo, run
from _tfjs import Weights, weights
from openvino import opset13 as ops

TOPOLOGY = "package/models/x3/model.json"
WEIGHTS = "package/models/x3/group1-shard1of1.bin"
FILES = {
    TOPOLOGY: "642208758cf6c42a4f88745894b45cc03776681a46027b85963f01fe003e9917",
    WEIGHTS: "9d344609abd1e29bd3924f9c4e9ffaa1aee6be7c3586bab0f52863597858a2ba",
}
Layer = Mapping[str, Any]


def convolution(layer: Layer, inputs: list[ov.Node], arrays: Weights) -> ov.Node:
    """A Keras Conv2D: its kernel is height x width x in x out."""
    kernel = np.ascontiguousarray(arrays[f"{layer['name']}/kernel"].transpose(3, 2, 0, 1))
    bias = arrays[f"{layer['name']}/bias"].reshape(1, -1, 1, 1)
    none, one = [0, 0], [1, 1]
    same = ops.convolution(inputs[0], kernel, one, none, none, one, auto_pad="same_upper")
    return ops.add(same, bias)


def upsampling(inputs: list[ov.Node]) -> ov.Node:
    """A Keras UpSampling2D by 3, nearest."""
    scales, axes = np.array([3, 3], np.float32), np.array([2, 3], np.int64)
    return ops.interpolate(
        inputs[0],
        scales,
        "nearest",
        "scales",
        axes=axes,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def operation(layer: Layer, inputs: list[ov.Node], arrays: Weights) -> ov.Node:
    """A layer as an operation on NCHW tensors."""
    kind = layer["class_name"]
    if kind == "Conv2D":
        return convolution(layer, inputs, arrays)
    if kind == "UpSampling2D":
        return upsampling(inputs)
    if kind == "Concatenate":
        return ops.concat(inputs, 1)
    return {"Activation": ops.relu, "Add": ops.add}[kind](*inputs)


def network(document: Mapping[str, Any], arrays: Weights) -> ov.Model:
    """All layers, in the order of the file, from `lr` to `sr`."""
    first, *layers = document["modelTopology"]["model_config"]["config"]["layers"]
    parameter = ops.parameter([1, 3, -1, -1], np.float32, name="lr")
    parameter.output(0).get_tensor().set_names({"lr"})
    nodes: dict[str, ov.Node] = {first["name"]: parameter}
    for layer in layers:
        inputs = [nodes[name] for name, *_ in layer["inbound_nodes"][0]]
        nodes[layer["name"]] = node = operation(layer, inputs, arrays)
        node.set_friendly_name(layer["name"])
    node.output(0).get_tensor().set_names({"sr"})
    return ov.Model([ops.result(node)], [parameter], "esrgan_slim")


def build(folder: Path) -> Path:
    """Downloads, rebuilds and writes."""
    files = npm_members("@upscalerjs/esrgan-slim@1.0.0", FILES)
    document = json.loads(files[TOPOLOGY])
    model = network(document, weights(document, files[WEIGHTS]))
    ov.save_model(model, folder / "model.xml", compress_to_fp16=True)
    return folder / "model.xml"


if __name__ == "__main__":
    run("esrgan-slim", build, {"lr": nchw(photo("chelsea.png", 100, 150))}, tolerance=0.01)
