"""How many images go into one inference: a rule over the model's arithmetic."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset2
from openvino import opset13 as ops

from pellucid_server.runtime.batching import fastest_batch, mixes_images, multiplications
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.types import ANY, Port

ONES, NONE = [1, 1], [0, 0]


def weights(*shape: int) -> ov.Node:
    """A constant of that shape."""
    return ops.constant(np.ones(shape, np.float32))


def image(*shape: int) -> ov.Node:
    """A parameter that models call `image`."""
    node = ops.parameter(list(shape), np.float32, name="image")
    node.output(0).get_tensor().set_names({"image"})
    return node


def graph_of(node: ov.Node, entry: ov.Node) -> ov.Model:
    """From an image to what a node makes of it."""
    return ov.Model([ops.result(node)], [entry], "graph")


X = image(1, 4, 8, 8)
LAYERS = {
    # 8 x 8 places x 6 outputs x 4 inputs x 3 x 3
    "convolution": (
        ops.convolution(X, weights(6, 4, 3, 3), ONES, ONES, ONES, ONES), 64 * 6 * 4 * 9),
    # 8 x 8 places x 4 outputs, each of its own channel
    "depthwise": (
        ops.group_convolution(X, weights(4, 1, 1, 3, 3), ONES, ONES, ONES, ONES), 64 * 4 * 9),
    # each of 8 x 8 x 4 inputs reaches 6 x 2 x 2 outputs
    "transposed": (
        ops.convolution_backprop_data(X, weights(4, 6, 2, 2), [2, 2]), 64 * 4 * 6 * 4),
    "transposed in groups": (
        ops.group_convolution_backprop_data(X, weights(2, 2, 3, 2, 2), [2, 2]), 64 * 4 * 3 * 4),
    # 4 x (8 x 8) @ (8 x 5)
    "product": (ops.matmul(X, weights(8, 5), False, False), 4 * 8 * 5 * 8),
    "product with rows first": (ops.matmul(X, weights(8, 5), True, False), 4 * 8 * 5 * 8),
    "product of a vector": (
        ops.matmul(ops.reshape(X, ops.constant([256]), special_zero=False), weights(256, 5),
                   False, False), 256 * 5),
    "activation": (ops.relu(X), 0),
}  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_multiplications_are_those_of_the_definition(layer: str) -> None:
    """Counted by hand beside each layer."""
    node, count = LAYERS[layer]
    assert multiplications(graph_of(node, X)) == count


def test_a_shape_that_is_not_known_may_be_of_any_size() -> None:
    free = image(1, 4, ANY, ANY)
    made = ops.convolution(free, weights(6, 4, 3, 3), ONES, ONES, ONES, ONES)
    assert multiplications(graph_of(made, free)) == float("inf")


Y = image(2, 4, 8, 8)
FLAT = ops.reshape(Y, ops.constant([2, 256]), special_zero=False)
VECTOR = ops.reshape(Y, ops.constant([512]), special_zero=False)
MIXING = {
    "softmax over the batch": (ops.softmax(FLAT, 0), True),
    "softmax over the batch, counted from the end": (ops.softmax(FLAT, -2), True),
    "softmax over classes": (ops.softmax(FLAT, 1), False),
    "mean of a batch": (ops.reduce_mean(Y, np.asarray([0, 2, 3]), keep_dims=True), True),
    "mean of places": (ops.reduce_mean(Y, np.asarray([2, 3]), keep_dims=True), False),
    "mean over computed axes": (ops.reduce_mean(Y, ops.abs(ops.constant([1])), True), True),
    "norm of a batch": (ops.mvn(Y, np.asarray([0, 2, 3]), True, 1e-6, "inside_sqrt"), True),
    "norm of an image": (ops.mvn(Y, np.asarray([1, 2, 3]), True, 1e-6, "inside_sqrt"), False),
    "norm of an image, as the second opset has it": (opset2.mvn(Y, True, True, 1e-6), False),
    "images beside each other": (ops.concat([Y, Y], 0), True),
    "maps beside each other": (ops.concat([Y, Y], 1), False),
    "of no batch": (ops.softmax(VECTOR, 0), False),
}


@pytest.mark.parametrize("case", MIXING)
def test_graphs_that_mix_the_images_of_a_batch_are_told(case: str) -> None:
    """Their answers for an image would depend on those beside it."""
    node, mixes = MIXING[case]
    assert mixes_images(graph_of(node, Y), 2) is mixes


def convolutional(side: int, inputs: int = 3) -> ServedModel:
    """A classifier of one convolution to 100 maps of 3 x 3, and their means."""
    entry = image(1, inputs, side, side)
    made = ops.convolution(entry, weights(100, inputs, 3, 3), ONES, ONES, ONES, ONES)
    graph = graph_of(ops.reduce_mean(made, np.asarray([2, 3]), keep_dims=False), entry)
    graph.output(0).get_tensor().set_names({"logits"})
    return ServedModel(
        name="net",
        version=1,
        spec=ModelSpec.model_validate({"task": "classification"}),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=(Port("image", "FP32", (1, inputs, side, side)),),
        outputs=(Port("logits", "FP32", (1, 100)),),
        layers=(),
    )


@pytest.mark.parametrize(
    ("side", "precision", "batch"),
    [(500, "f32", 2), (500, "bf16", 4), (500, "f16", 1), (700, "f32", 1), (700, "bf16", 1)],
)
def test_light_models_take_several_images_at_once(side: int, precision: str, batch: int) -> None:
    """2,700 multiplications a pixel: 0.7e9 at 500 x 500, 1.3e9 at 700 x 700."""
    assert fastest_batch(convolutional(side), precision) == batch


def test_a_model_that_mixes_images_takes_them_one_by_one() -> None:
    """Its class scores are compared between images."""
    model = convolutional(64)
    logits = model.graph.output(0).get_node().input_value(0)
    entry = model.graph.get_parameters()[0]
    graph = graph_of(ops.softmax(logits, 0), entry)
    mixed = ServedModel(**{**vars(model), "graph": graph})
    assert fastest_batch(model, "f32") == 2
    assert fastest_batch(mixed, "f32") == 1
