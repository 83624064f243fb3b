from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.runtime.introspection import DATATYPES, layers, ports
from pellucid_server.types import ANY

Graph = Callable[..., ov.Model]


def default(graph: ov.Model, target: str | None = None) -> str:
    return next(layer.name for layer in layers(graph, target) if layer.default)


def image(*shape: int) -> ov.Node:
    return ops.parameter(list(shape), np.float32, name="image")


def conv(source: ov.Node, name: str, channels: int) -> ov.Node:
    weights = np.ones((channels, source.output(0).get_shape()[1], 3, 3), np.float32)
    return ops.convolution(source, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1], name=name)


def model(result: ov.Node, *parameters: ov.Node) -> ov.Model:
    return ov.Model([ops.result(result)], list(parameters), "model")


def names(graph: ov.Model) -> list[str]:
    return [layer.name for layer in layers(graph, None)]


def test_the_default_of_efficientnet_is_its_last_feature_map(zoo: Path) -> None:
    graph = ov.Core().read_model(zoo / "efficientnet-lite0" / "1" / "model.xml")
    found = layers(graph, None)
    assert default(graph) == "features"
    assert found[-1].shape == (1, 1280, 7, 7)
    assert len({layer.name for layer in found}) == len(found)
    # 33 convolutions and 16 by group, and nine residual sums; the classifier has no extent.
    assert len(found) == 33 + 16 + 9


def test_bias_and_activation_belong_to_their_convolution(make_graph: Graph) -> None:
    assert names(make_graph()) == ["features"]


def test_a_gated_activation_belongs_to_its_convolution() -> None:
    """The product of x and sigmoid(x), as exporters write SiLU."""
    parameter = image(1, 3, 8, 8)
    first = conv(parameter, "first", 4)
    gated = ops.multiply(first, ops.sigmoid(first), name="silu")
    assert names(model(conv(gated, "second", 2), parameter)) == ["silu", "second"]


def test_a_residual_sum_is_a_layer_of_its_own() -> None:
    parameter = image(1, 3, 8, 8)
    first = conv(parameter, "first", 4)
    second = conv(first, "second", 4)
    total = ops.relu(ops.add(first, second, name="sum"), name="block")
    found = names(model(ops.reduce_mean(total, np.array([2, 3])), parameter))
    assert found == ["first", "second", "block"]


def test_maps_of_one_pixel_are_no_layers() -> None:
    """Squeeze-and-excitation has convolutions, but nothing to show on an image."""
    parameter = image(1, 3, 8, 8)
    pooled = ops.reduce_mean(conv(parameter, "wide", 4), np.array([2, 3]), keep_dims=True)
    weights = ops.constant(np.ones((4, 4, 1, 1), np.float32))
    squeezed = ops.convolution(pooled, weights, [1, 1], [0, 0], [0, 0], [1, 1], name="narrow")
    assert names(model(squeezed, parameter)) == ["wide"]


def test_the_layer_that_yields_an_output_is_not_the_default() -> None:
    parameter = image(1, 3, 8, 8)
    body = ops.relu(conv(parameter, "body", 4), name="map")
    head = ops.transpose(conv(body, "head", 2), np.array([0, 2, 3, 1]))
    assert default(model(head, parameter)) == "map"


def test_a_convolution_before_pooling_is_the_default() -> None:
    """A fully convolutional classifier: its last map is a map of classes."""
    parameter = image(1, 3, 8, 8)
    classes = conv(ops.relu(conv(parameter, "body", 4)), "classes", 2)
    pooled = ops.softmax(ops.reduce_mean(classes, np.array([2, 3])), 1)
    assert default(model(pooled, parameter)) == "classes"


def test_the_default_of_a_transformer_are_its_last_tokens() -> None:
    parameter = image(1, 3, 8, 8)
    tokens = ops.transpose(
        ops.reshape(conv(parameter, "patches", 4), np.array([1, 4, 64]), special_zero=False),
        np.array([0, 2, 1]),
    )
    for block in ("first", "second"):
        product = ops.matmul(tokens, np.eye(4, dtype=np.float32), False, False)
        tokens = ops.add(tokens, product, name=block)
    scores = ops.matmul(ops.reduce_mean(tokens, 1), np.eye(4, dtype=np.float32), False, False)
    assert default(model(scores, parameter)) == "second"


def test_a_named_layer_is_the_default_and_listed(make_graph: Graph) -> None:
    """Also one that would be fused with what follows."""
    assert default(make_graph(), "conv") == "conv"
    assert [layer.name for layer in layers(make_graph(), "conv")] == ["conv", "features"]


def test_shapes_computed_from_shapes_are_no_layers() -> None:
    parameter = ops.parameter([1, 3, -1, -1], np.float32, name="image")
    size = ops.convert(ops.shape_of(parameter), "f32")
    grid = ops.reshape(ops.concat([size] * 4, 0), np.array([1, 1, 4, 4]), special_zero=False)
    tiled = ops.matmul(grid, np.ones((1, 1, 4, 4), np.float32), False, False, name="shapes")
    assert names(model(ops.multiply(tiled, ops.reduce_mean(parameter, 1)), parameter)) == []


@pytest.mark.parametrize(("kind", "datatype"), DATATYPES.items())
def test_every_datatype_of_the_protocol_has_a_port(kind: str, datatype: str) -> None:
    parameter = ops.parameter([2, -1], getattr(ov.Type, kind), name="data")
    (port,) = ports(model(parameter, parameter).inputs)
    assert (port.name, port.datatype, port.shape) == ("data", datatype, (2, ANY))


def test_unnamed_ports_are_named_after_their_operations() -> None:
    parameter = image(1, 3)
    graph = model(ops.relu(parameter, name="relu"), parameter)
    assert [port.name for port in ports(graph.inputs)] == ["image"]
    assert [port.name for port in ports(graph.outputs)] == ["relu"]
    assert graph.input("image").get_shape() == graph.output("relu").get_shape()


def test_two_outputs_of_one_tensor_have_two_names() -> None:
    parameter = image(1, 3)
    relu = ops.relu(parameter, name="relu")
    relu.output(0).tensor.set_names({"b", "a"})
    graph = ov.Model([ops.result(relu), ops.result(relu)], [parameter], "twice")
    assert [port.name for port in ports(graph.outputs)] == ["a", "a.1"]
    assert [port.name for port in ports(graph.clone().outputs)] == ["a", "a.1"]


def test_a_scalar_and_a_free_rank_have_shapes() -> None:
    scalar = ops.parameter([], np.float32, name="scalar")
    free = ops.parameter(ov.PartialShape.dynamic(), np.float32, name="free")
    graph = ov.Model([ops.result(scalar), ops.result(free)], [scalar, free], "shapes")
    assert [port.shape for port in ports(graph.inputs)] == [(), (ANY,)]
